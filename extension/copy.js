// Copies weights into the origin's private file system, in a worker of the page that the owner has open, because
// only a worker may write there in place. What is written stays, so that copying goes on where it has stopped.
//
// Messages:
//   page → worker  {file, at, bytes} or {from, at, bytes, etag}: copy; `pause`: stop after this piece
//   worker → page  {at, bytes, etag}: so much is written; {checking}: so much of it was read again;
//                  {done, sha256}, {paused} or {fault}: it has ended

import init, { Fingerprint } from './pkg/agent.js';
import { BYTES_MAX, handle } from './weights.js';

/** What is read and written at once, in bytes. */
const PIECE = 4 << 20;

/** How often what is written is made durable and told, in milliseconds. */
const TELL_EVERY = 500;

/** How much of what is there is compared before a file goes on. */
const COMPARED = 1 << 20;

/** How every GGUF file begins. */
const MAGIC = 'GGUF';

let paused = false;
/** How far it is, is told at once. */
let told = -TELL_EVERY;
/** Ends what is being fetched, where the server may not say a word for long. */
let leave = () => {};

onmessage = ({ data }) => {
  if (data === 'pause') pause();
  else copy(data).then(postMessage, (error) => postMessage({ fault: error.fault ?? 'browser_copy_failed' }));
};

function pause() {
  paused = true;
  leave();
}

async function copy(task) {
  const place = await (await handle()).createSyncAccessHandle().catch(() => fail('browser_in_use'));
  try {
    const at = Math.min(task.at, place.getSize());
    place.truncate(at);
    const end = await (task.file ? fromFile(place, at, task) : fromAddress(place, at, task));
    if (end < 0) return { paused: true };
    return { done: true, sha256: await check(place) };
  } finally {
    place.close();
  }
}

async function fromFile(place, begin, { file, bytes }) {
  if (!isModel(new Uint8Array(await file.slice(0, 4).arrayBuffer()))) fail('browser_no_model');
  if (file.size !== bytes || !(await goesOn(place, begin, file))) fail('browser_other_file');
  for (let at = begin; at < bytes; ) {
    if (paused) return tell(place, at, bytes, {}, -1);
    const piece = new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer());
    at = write(place, piece, at);
    tell(place, at, bytes);
  }
  return bytes;
}

/** Tells whether what is there already ends as this file does at that place. */
async function goesOn(place, at, file) {
  const from = Math.max(0, at - COMPARED);
  const [here, there] = [new Uint8Array(at - from), new Uint8Array(await file.slice(from, at).arrayBuffer())];
  place.read(here, { at: from });
  return here.every((byte, index) => byte === there[index]);
}

async function fromAddress(place, begin, { from, bytes, etag }) {
  const line = new AbortController();
  leave = () => line.abort();
  const headers = begin > 0 ? { Range: `bytes=${begin}-`, ...(etag && { 'if-range': etag }) } : {};
  const response = await fetch(from, {
    headers, signal: line.signal, redirect: 'error', credentials: 'omit', cache: 'no-store', referrerPolicy: 'no-referrer',
  }).catch(() => paused || fail('browser_address_silent'));
  if (paused) return tell(place, begin, bytes, {}, -1);
  const goes = response.status === 206;
  if (!goes && response.status !== 200) fail('browser_address_refuses');
  // A server that knows no ranges, or has another file by now, sends all of it from the beginning.
  let at = goes ? begin : 0;
  place.truncate(at);
  const all = length(response, goes);
  if (!all || (goes && all !== bytes)) fail('browser_address_refuses');
  if (all > BYTES_MAX) fail('browser_too_large');
  const { quota = Infinity, usage = 0 } = await navigator.storage.estimate();
  if (all - at > quota - usage) fail('browser_no_room');
  const tag = response.headers.get('etag') ?? '';
  // A weak tag is none for `If-Range`.
  const more = { etag: tag.startsWith('"') && tag.length < 200 ? tag : '' };
  const reader = response.body.getReader();
  for (;;) {
    const { done, value, broken } = await reader.read().catch(() => ({ broken: true }));
    if (paused) {
      leave();
      return tell(place, at, all, more, -1);
    }
    if (broken) {
      tell(place, at, all, more, null);
      fail('browser_address_broke');
    }
    if (done) break;
    if (at === 0 && !isModel(value)) fail('browser_no_model');
    if (at + value.length > all) fail('browser_address_refuses');
    at = write(place, value, at);
    tell(place, at, all, more);
  }
  if (at !== all) fail('browser_address_broke');
  return all;
}

/** Reads how long the whole file is. */
function length(response, goes) {
  const { headers } = response;
  const text = goes ? headers.get('content-range')?.split('/')[1] : headers.get('content-length');
  return /^\d{1,15}$/.test(text ?? '') ? Number(text) : 0;
}

function isModel(bytes) {
  return String.fromCharCode(...bytes.subarray(0, 4)) === MAGIC;
}

function write(place, piece, at) {
  let written = 0;
  try {
    written = place.write(piece, { at });
  } catch {
    // Written short below.
  }
  if (written !== piece.length) fail('browser_no_room');
  return at + written;
}

/** Tells how far it is, once that is durable, and not with every piece; always with a `result`, which it returns. */
function tell(place, at, bytes, more = {}, result) {
  const now = performance.now();
  if (result === undefined && at < bytes && now - told < TELL_EVERY) return undefined;
  told = now;
  place.flush();
  postMessage({ at, bytes, ...more });
  return result;
}

/** Reads again what is there, and returns its SHA-256. */
async function check(place) {
  await init({ module_or_path: 'pkg/agent_bg.wasm' });
  const print = new Fingerprint();
  const bytes = place.getSize();
  const piece = new Uint8Array(PIECE);
  for (let at = 0; at < bytes; ) {
    const read = place.read(piece, { at });
    print.take(piece.subarray(0, read));
    at += read;
    if (performance.now() - told > TELL_EVERY) {
      told = performance.now();
      postMessage({ checking: at, bytes });
    }
  }
  return print.end();
}

function fail(fault) {
  throw Object.assign(new Error(fault), { fault });
}
