// Asks a relay with the client library, in Node, in a page or in a worker, and throws where it does not do what
// it says. In Node: node client.mjs LIBRARY RELAY KEY MODEL
//
// The model server holds an answer where it is asked to, behind its first word or before it, and calls a tool
// for the weather; all others are `one two three`.

export async function check({ library, relay, key, model }) {
  const { GPUStreamingClient, RekursingError, verifyReceipt } = await import(library);
  const client = new GPUStreamingClient(relay, { key });
  const idle = () => until(async () => (await client.live()).totals.jobsRunning === 0);

  // The signal and the end of the loop cancel the job, and so does its name.
  const stop = new AbortController();
  const why = new Error('enough');
  const aborted = await refused(async () => {
    for await (const { type } of client.stream('hold behind a word', { model, signal: stop.signal })) {
      if (type === 'token') stop.abort(why);
    }
  });
  same(aborted === why, true, 'the reason of the signal');
  await idle();
  for await (const { type } of client.stream('hold behind a word', { model })) if (type === 'token') break;
  await idle();
  let job;
  const cancelled = await refused(async () => {
    for await (const event of client.stream('hold behind a word', { model })) {
      job ??= event.jobId;
      if (event.type === 'token') await client.cancel(job);
    }
  });
  same([cancelled.code, cancelled.jobId, Number(cancelled.cost) > 0], ['cancelled', job, true], 'what was charged');
  await idle();
  const early = new AbortController();
  const waiting = refused(() => client.requestInference('hold', model, { signal: early.signal }));
  await until(async () => (await client.live()).totals.jobsRunning === 1);
  early.abort();
  same((await waiting).name, 'AbortError', 'an abort before the first word');
  await idle();

  client.setUserId('ada');
  const answer = await client.requestInference('go', model, { quality: 'standard', minTps: 0, maxPrice: '100' });
  same([answer.result, answer.ad, answer.finishReason], ['one two three', null, 'stop'], 'a whole answer');
  same(answer.usage.completionTokens > 0 && Number(answer.cost) > 0 && answer.provider.model.length > 0, true, 'facts');

  const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }];
  const { result, toolCalls, finishReason } = await client.requestInference('the weather', model, { tools });
  same([result, finishReason, toolCalls.length], ['', 'tool_calls', 1], 'a call of a tool');
  same(Object.values(toolCalls[0].function), ['weather', '{"city": "Paris"}'], 'what it is called with');

  const events = [];
  const messages = [{ role: 'user', content: 'go' }];
  for await (const event of client.stream(messages, { model })) events.push(event);
  const text = events.filter(({ type }) => type === 'token').map((event) => event.text);
  same(text.join(''), 'one two three', 'a streamed answer');
  same([events[0].type, events.at(-1).type], ['start', 'done'], 'its ends');

  const receipt = await client.receipt(events[0].jobId);
  same([receipt.state, receipt.charge], ['settled', events.at(-1).cost], 'a receipt');
  await client.rate(receipt.jobId, true);
  await client.rate(receipt.jobId, false);
  const published = await (await fetch(new URL('/.well-known/rekursing-receipts', relay))).json();
  const keys = published.keys.map((published) => published.key);
  await verifyReceipt(receipt, keys);
  const { settlement, signature } = receipt;
  const forged = [
    { ...receipt, charge: '0' },
    { ...receipt, note: 'paid twice' },
    { ...receipt, settlement: null },
    { ...receipt, settlement: { ...settlement, model: [settlement.model] } },
    { ...receipt, settlement: { ...settlement, fee: `${settlement.fee}0` } },
    { ...receipt, givenBack: undefined },
    { ...receipt, signature: { ...signature, value: `00${signature.value.slice(2)}` } },
    { ...receipt, signature: { ...signature, value: 'none' } },
    { ...receipt, signature: undefined },
    null,
  ];
  for (const one of forged) {
    const { code } = await refused(() => verifyReceipt(one, keys));
    same(code, 'bad_receipt', JSON.stringify(one));
  }
  const other = 'ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c';
  const careful = new GPUStreamingClient(relay, { key, receiptKeys: [other] });
  same((await refused(() => careful.receipt(receipt.jobId))).code, 'bad_receipt', 'a key that is not believed');

  // A visitor's client remembers what opens his receipts, and another one does not know it.
  const visitor = new GPUStreamingClient(relay);
  const free = await visitor.requestInference('go', model);
  await visitor.rate(free.jobId, true);
  same((await visitor.receipt(free.jobId)).paidBy, 'free', 'a free receipt');
  const stranger = new GPUStreamingClient(relay);
  same((await refused(() => stranger.receipt(free.jobId))).status, 401, 'a receipt of somebody else');
  same((await stranger.receipt(free.jobId, { token: free.receiptToken })).jobId, free.jobId, 'a receipt by its token');
  visitor.setUserId('bob');
  same((await refused(() => visitor.receipt(free.jobId))).status, 401, 'a receipt of whoever asked before');

  same((await client.models()).some(({ id }) => id === model), true, 'the models');
  same((await client.live()).providers.length, 1, 'who is on');

  const wrong = new GPUStreamingClient(relay, { key: 'rk_wrong' });
  const cases = [
    [() => client.requestInference('go', 'nobody-has-this'), 'model_not_found', 404],
    [() => client.requestInference('go', model, { minTps: 999_999 }), 'too_slow', 503],
    [() => client.requestInference('go', model, { maxPrice: '0.000001' }), 'price_too_high', 503],
    [() => client.requestInference('', model, { temperature: 9 }), 'bad_request', 400],
    [() => wrong.requestInference('go', model), 'invalid_api_key', 401],
    [() => client.receipt('job_none'), 'job_not_found', 404],
    [() => new GPUStreamingClient('http://127.0.0.1:9', { patience: 0 }).models(), 'unreachable', undefined],
  ];
  for (const [call, code, status] of cases) {
    const error = await refused(call);
    same([error instanceof RekursingError, error.code, error.status], [true, code, status], error.stack);
    same(/^[A-Z`].*\.$/s.test(error.message), true, error.message);
  }
  return 'ok';
}

async function until(look) {
  while (!(await look())) await new Promise((resolve) => setTimeout(resolve, 20));
}

async function refused(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error(`was not refused: ${call}`);
}

function same(found, wanted, what) {
  const [one, other] = [found, wanted].map((value) => JSON.stringify(value));
  if (one !== other) throw new Error(`${what}: ${one} where ${other} was expected`);
}

if (globalThis.process?.argv) {
  const [library, relay, key, model] = process.argv.slice(2);
  console.log(await check({ library, relay, key, model }));
}
