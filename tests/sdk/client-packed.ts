// Asks a relay with the library as it is installed: compiled by its types, then run.
// node client-packed.js RELAY KEY MODEL

import { GPUStreamingClient, verifyReceipt } from 'rekursing';
import type { Answer, Receipt } from 'rekursing';

declare const process: { argv: string[] };

const [, , relay = '', key = '', model = ''] = process.argv;
const client = new GPUStreamingClient(relay, { key });
const whole: Answer = await client.requestInference('go', model);
let heard = '';
for await (const event of client.stream('go', { model })) {
  if (event.type === 'token') heard += event.text;
}
const receipt: Receipt = await client.receipt(whole.jobId);
const forged = await verifyReceipt({ ...receipt, charge: '0' }, []).then(() => true, () => false);
const fine = whole.result === 'one two three' && heard === whole.result && receipt.charge === whole.cost && !forged;
console.log(fine ? 'ok' : JSON.stringify({ whole, heard, receipt, forged }));
