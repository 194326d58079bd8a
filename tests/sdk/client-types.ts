// Uses the client library as somebody does who reads its types. It is checked, and not run.

import { GPUStreamingClient, RekursingAd, RekursingError, verifyReceipt } from 'rekursing';
import type { Ad, Answer, Model, Receipt, StreamEvent } from 'rekursing';

const client = new GPUStreamingClient('https://rekursing.com', { key: 'rk_1', patience: 5_000, receiptKeys: ['00'] });
client.setUserId('ada');

export async function whole(): Promise<string> {
  const answer: Answer = await client.requestInference('hi', 'auto', { quality: 'standard', maxPrice: { input: '0.2' } });
  const { result, usage, cost, provider, ad } = answer;
  if (ad) show(ad);
  return `${result} ${usage.totalTokens} ${cost.padStart(9)} ${provider.gpu}`;
}

export async function streamed(signal: AbortSignal): Promise<void> {
  const options = { model: 'auto', quality: 'high', maxPrice: 0.5, minTps: 20, temperature: 0, signal } as const;
  for await (const event of client.stream([{ role: 'user', content: 'hi' }], options)) {
    if (event.type === 'token') console.log(event.text);
    else if (event.type === 'ad') show(event.ad);
    else if (event.type === 'done') console.log(event.cost, event.usage.completionTokens, event.firstTokenMs);
    else if (event.type === 'chunk') console.log(event.choices.length);
    else console.log(event.provider.name, event.tier);
  }
}

export async function chosen(): Promise<string> {
  const options = { quality: 'auto', objective: { quality: 3 }, maxCost: '0.01', deadline: 9_000 } as const;
  const { choice } = await client.requestInference('hi', 'auto', options);
  return choice ? `${choice.model} ${choice.tier} ${choice.expectedCost} ${choice.reasons.join('; ')}` : '';
}

export async function listed(): Promise<Model[]> {
  const { providers: sessions } = await client.live();
  console.log(sessions.map(({ gpu, since }) => `${gpu} ${since.toFixed()}`));
  return client.models();
}

export async function receipt(job: string): Promise<Receipt> {
  try {
    const receipt = await client.receipt(job, { token: 'rct_1' });
    await verifyReceipt(receipt, ['00']);
    return receipt;
  } catch (error) {
    if (error instanceof RekursingError && error.code === 'bad_receipt') console.log(error.status, error.retryAfter);
    throw error;
  }
}

function show(ad: Ad): void {
  const element: RekursingAd = document.createElement('rekursing-ad');
  element.ad = ad;
  document.body.append(element);
}

export function wrong(event: StreamEvent, error: RekursingError): void {
  // @ts-expect-error: there is no such tier.
  void client.requestInference('hi', 'auto', { quality: 'best' });
  // @ts-expect-error: an amount is no such thing.
  void client.stream('hi', { maxPrice: true });
  // @ts-expect-error: not every event has a text.
  void event.text;
  // @ts-expect-error: there is no such code.
  void (error.code === 'no_such_code');
  // @ts-expect-error: the address is needed.
  void new GPUStreamingClient();
}
