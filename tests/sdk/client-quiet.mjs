// Asks over a line of its own, with a clock that is moved by hand: node client-quiet.mjs LIBRARY

const { GPUStreamingClient } = await import(process.argv[2]);

let passed = 0;
const now = performance.now.bind(performance);
performance.now = () => now() + passed;
const calls = [];
let replies = [];
globalThis.fetch = async (url, init) => {
  calls.push(`${init.method ?? 'GET'} ${new URL(url).pathname} ${init.headers['last-event-id'] ?? ''}`.trim());
  return replies.shift()();
};

/** A stream of these pieces; a number lets so many seconds pass before the line breaks, or before the next piece. */
const line = (...pieces) => () => new Response(new ReadableStream({
  pull(stream) {
    const piece = pieces.shift();
    if (typeof piece === 'number') passed += piece * 1_000;
    if (pieces.length === 0) stream.error(new TypeError('broken'));
    else stream.enqueue(new TextEncoder().encode(typeof piece === 'string' ? piece : ''));
  },
}, { highWaterMark: 0 }), { headers: { 'x-rekursing-job': 'job_1' } });
const gone = () => Promise.reject(new TypeError('nobody is there'));
const start = 'id: 1\nevent: start\ndata: {"jobId":"job_1"}\n\n';
const token = 'id: 2\nevent: token\ndata: {"text":"hi"}\n\n';
const done = 'id: 3\nevent: done\ndata: {"jobId":"job_1","cost":"0"}\n\n';

/** Asks, and hears the answer over these lines in turn. */
async function heard(lines, pause = 0) {
  calls.length = 0;
  replies = lines;
  let text = '';
  for await (const event of new GPUStreamingClient('http://relay').stream('go')) {
    text += event.text ?? '';
    passed += pause * 1_000;
  }
  return text;
}

const ask = 'POST /api/llm/inference';
const [begun, again, further] = [0, 1, 2].map((last) => `${ask} ${last}`);

// In the queue, twice, and before the first word.
same(await heard([line(25, 0), line(25, ':\n\n', 0), line(start, 25, 0), line(token, done, 0)]), 'hi');
same(calls, [begun, begun, begun, again]);
// Nothing was said for 45 seconds.
same(await heard([line(start, 60, 0), line(token, done, 0)]), 'hi');
same(calls, [begun, again]);
// Whoever listens takes his time over each event.
same(await heard([line(start, token, 0), line(done, 0)], 30), 'hi');
same(calls, [begun, further]);
// A call that is not a stream.
calls.length = 0;
replies = [line(25, 0), () => Response.json({ models: [] })];
same(await new GPUStreamingClient('http://relay').models(), []);

// From when on the line is broken it is tried for so long as was said, and then the job is cancelled.
const lost = () => ((passed += 21_000), gone());
const left = () => new Response(null, { status: 204 });
const error = await heard([line(start, 60, 0), lost, left]).catch((thrown) => thrown);
same([error.code, calls], ['unreachable', [begun, again, 'DELETE /api/llm/inference/job_1']]);

// When it may be tried again is said in seconds or as a date; one that is over is now.
const refused = (after) => () => Response.json(
  { error: { code: 'overloaded', message: 'not now' } }, { status: 503, headers: { 'retry-after': after } },
);
const at = (seconds) => new Date(Date.now() + seconds * 1_000).toUTCString();
const wait = globalThis.setTimeout;
const waits = [];
globalThis.setTimeout = (run, ms) => wait(run, (waits.push(ms), 0));
for (const after of ['0', at(-60), at(9)]) {
  replies = [refused(after), () => Response.json({ models: [] })];
  same(await new GPUStreamingClient('http://relay').models(), []);
}
same([waits.length, ...waits.slice(0, 2)], [3, 0, 0]);
if (!(waits[2] > 0 && waits[2] <= 9_000)) throw new Error(`waited ${waits[2]}`);
for (const [after, told] of [[at(3_600), true], ['soon', false]]) {
  replies = [refused(after)];
  const late = await new GPUStreamingClient('http://relay').models().catch((thrown) => thrown);
  same([late.code, late.retryAfter > 3_000], ['overloaded', told]);
}
console.log('ok');

function same(found, wanted) {
  const [one, other] = [found, wanted].map((value) => JSON.stringify(value));
  if (one !== other) throw new Error(`${one} where ${other} was expected`);
}
