// Calls something that refuses as a relay under load does: node client-waits.mjs LIBRARY RELAY

const [library, relay] = process.argv.slice(2);
const { GPUStreamingClient } = await import(library);
const asked = async () => (await (await fetch(`${relay}/asked`)).json()).length;
const took = async (call) => {
  const [begun, before] = [performance.now(), await asked()];
  const outcome = await call().catch((error) => error);
  return { outcome, ms: performance.now() - begun, calls: (await asked()) - before };
};
const client = new GPUStreamingClient(relay);

// 429 and 503, each with a second.
const passed = await took(() => client.models());
expect(passed.outcome.length === 0 && passed.calls === 3 && passed.ms >= 1_900, passed);

// 503 with a second, then one that runs already, then an answer.
const answered = await took(() => client.requestInference('go'));
expect(answered.outcome.result === 'hi' && answered.calls === 3 && answered.ms >= 1_900, answered);

// An hour is too long.
const late = await took(() => client.models());
expect(late.outcome.code === 'free_quota_used' && late.outcome.retryAfter === 3_600 && late.calls === 1, late);

// Nothing is said of when; and a page that does not wait.
const never = await took(() => client.models());
expect(never.outcome.code === 'no_provider' && never.outcome.status === 503 && never.calls === 1, never);
const once = await took(() => new GPUStreamingClient(relay, { patience: 0 }).models());
expect(once.outcome.code === 'queue_full' && once.calls === 1, once);

// What a proxy says, and what is no JSON at all.
const proxy = await took(() => client.models());
expect(proxy.outcome.code === 'http_502' && proxy.calls === 1, proxy);
const broken = await took(() => client.models());
expect(broken.outcome.code === 'malformed' && broken.calls === 1, broken);

// A connection on which nothing is said any more ends like one that breaks.
const { events } = await import(new URL('events.js', `file://${library}`));
const set = globalThis.setTimeout;
globalThis.setTimeout = (run, ms) => set(run, ms === 45_000 ? 0 : ms);
let left = false;
const silent = new ReadableStream({ cancel: () => void (left = true) });
for await (const event of events(silent)) expect(false, { outcome: event });
expect(left, { outcome: 'not left' });
globalThis.setTimeout = set;

// Whoever does not want to wait any more does not.
const before = await asked();
const stop = new AbortController();
const waiting = took(() => client.models({ signal: stop.signal }));
while ((await asked()) === before) await new Promise((resolve) => setTimeout(resolve, 10));
stop.abort();
expect((await waiting).outcome.name === 'AbortError', await waiting);
console.log('ok');

function expect(holds, found) {
  if (!holds) throw new Error(`${JSON.stringify(found)} ${found.outcome.stack}`);
}
