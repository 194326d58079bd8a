// The model in the browser. It answers the agent in the place of a model server: `/model` tells of it, and jobs are
// answered as llama.cpp's server does, by the same code as wasm. That runs in a worker of its own: when its memory ends,
// the worker ends. Which jobs come, and whether any does, is the agent's to say.

import { handle, isOn } from './weights.js';

/** How often the document may end while it loads before it is not tried again: the whole extension ends with it. */
const DEATHS_MAX = 1;

/** How much of the computer's memory the weights may be, which Chrome tells in GiB, and never more than 8 of them. */
const SHARE_MAX = 0.5;

/** How long the agent may ask nothing before the model leaves memory, in milliseconds. */
const UNASKED_MAX = 120_000;

/** How long it may take to load, in milliseconds. */
const LOADING_MAX = 300_000;

/** How long a job that was left may keep the model, in milliseconds: a prompt is read in pieces that nobody interrupts. */
const LEAVING_MAX = 20_000;

/** How long it rests after each crash in a row before it is loaded again, in milliseconds. After one more it is not. */
const RESTS = [0, 5_000, 30_000];

/** Tokens of prompt and answer together. More take memory that weights want as well. */
const CONTEXT_MAX = 4096;

const JOBS = { '/v1/chat/completions': 'createChatCompletion', '/v1/completions': 'createCompletion' };

/** What storage says of the weights, where they are to run. */
let chosen;
/** `{wllama, about, job, gone, leave}` once the model is in memory; `gone` fails when it leaves, which `leave` says. */
let engine;
let loading = false;
/** It cannot run here; other weights may. */
let unfit = false;
/** How often it has crashed since it last did a job, and when it may be loaded again. */
let crashes = 0;
let restedAt = 0;
let unasked;

/** Takes in what storage holds: at the start with how loading went before, and after each change. */
export function use({ weights, loading: before }) {
  const next = isOn(weights) ? weights : undefined;
  if (next?.stamp === chosen?.stamp && next?.tries === chosen?.tries) return;
  unload();
  chosen = next;
  [crashes, restedAt] = [0, 0];
  unfit = Boolean(next) && before?.stamp === mark(next) && before.times >= DEATHS_MAX;
}

/** Answers what the agent asks in the place of a model server. */
export async function answer(path, body, signal) {
  clearTimeout(unasked);
  unasked = setTimeout(unload, UNASKED_MAX);
  if (path === '/model') return about();
  if (!Object.hasOwn(JOBS, path)) return failed(404, 'unknown');
  if (!engine) return failed(503, 'loading');
  if (engine.job) return failed(503, 'busy');
  const asked = JSON.parse(body);
  return asked.stream ? streamed(JOBS[path], asked, signal) : whole(JOBS[path], asked, signal);
}

// Closed in good order while it loads: Chrome ends, or the document is made anew.
addEventListener('pagehide', () => loading && keep(null));

function about() {
  if (engine) return Response.json(engine.about);
  if (unfit || !chosen) return failed(500, 'unfit');
  if (!loading && performance.now() >= restedAt) load();
  return failed(503, 'loading');
}

/** Loads the model. Before it does so it leaves a mark, which says so if this document does not live to take it off. */
async function load() {
  loading = true;
  const weights = chosen;
  const stored = await chrome.runtime.sendMessage({ type: 'boot' });
  const times = stored.loading?.stamp === mark(weights) ? stored.loading.times : 0;
  await keep({ stamp: mark(weights), times: times + 1 });
  const made = await make(weights).catch(() => undefined);
  await keep(null);
  loading = false;
  if (weights !== chosen) return made?.wllama.exit();
  engine = made;
  unfit = !made;
}

/** Puts what a job needs beside the loaded model. What belongs to one model in memory ends with it. */
function engineOf(wllama, about) {
  const made = { wllama, about, job: undefined };
  made.gone = new Promise((_, reject) => (made.leave = () => reject(new Crash())));
  // Nobody may be waiting.
  made.gone.catch(() => {});
  return made;
}

async function make({ name }) {
  const { Wllama } = await import('./wllama/index.js');
  const file = await (await handle()).getFile();
  if (file.size > (navigator.deviceMemory ?? 4) * 2 ** 30 * SHARE_MAX) throw new RangeError();
  const wllama = new Wllama({ default: chrome.runtime.getURL('wllama/wllama.wasm') }, { suppressNativeLog: true, logger: MUTE });
  // Nothing is fetched for a browser that lacks something.
  wllama.setCompat(null);
  const slow = new Promise((_, reject) => setTimeout(reject, LOADING_MAX));
  try {
    await Promise.race([wllama.loadModel([file], { n_ctx: CONTEXT_MAX, n_parallel: 1, n_threads: threads() }), slow]);
  } catch (error) {
    await wllama.exit();
    throw error;
  }
  const { metadata, n_ctx: context } = wllama.getLoadedContextInfo();
  const text = (key) => String(metadata[key] ?? '').slice(0, 64);
  const parameters = text('general.size_label');
  return engineOf(wllama, { name, architecture: text('general.architecture'), parameters, context });
}

/** Half of what the computer has, because its owner comes first; of two both, because one alone is too slow. */
function threads() {
  const all = navigator.hardwareConcurrency || 1;
  return Math.max(Math.min(all, 2), Math.floor(all / 2));
}

function streamed(call, asked, signal) {
  const encoder = new TextEncoder();
  const body = new ReadableStream({
    async start(controller) {
      const write = (value) => controller.enqueue(encoder.encode(`data: ${value}\n\n`));
      try {
        await run(call, { ...asked, onData: (chunk) => write(JSON.stringify(chunk)) }, signal);
        write('[DONE]');
        controller.close();
      } catch (error) {
        if (signal.aborted) return controller.error(signal.reason);
        write(JSON.stringify(wrong(error)));
        controller.close();
      }
    },
  });
  return new Response(body, { headers: { 'Content-Type': 'text/event-stream' } });
}

async function whole(call, asked, signal) {
  try {
    return Response.json(await run(call, asked, signal));
  } catch (error) {
    signal.throwIfAborted();
    return Response.json(wrong(error), { status: wrong(error).error.code });
  }
}

async function run(call, asked, signal) {
  const own = engine;
  const job = (own.job = {});
  try {
    const said = await Promise.race([own.wllama[call]({ ...asked, abortSignal: signal }), own.gone, overdue(own, job, signal)]);
    crashes = 0;
    return said;
  } catch (error) {
    if (isCrash(error)) crashed(own);
    throw error;
  } finally {
    own.job = undefined;
  }
}

/** Fails, and ends the model in memory, when a job that was left does not let go of it: its worker may be dead. */
function overdue(own, job, signal) {
  return new Promise((_, reject) => {
    const wait = () => setTimeout(() => {
      if (own.job === job && own === engine) unload();
      reject(signal.reason);
    }, LEAVING_MAX);
    signal.addEventListener('abort', wait, { once: true });
  });
}

/** The wasm has ended. It is loaded anew, after a rest, and left alone once it has ended too often. */
function crashed(own) {
  if (own !== engine) return;
  unload();
  const rest = RESTS[crashes];
  crashes += 1;
  unfit = rest === undefined;
  restedAt = performance.now() + (rest ?? 0);
}

/** The model has left memory in the middle of a job. */
class Crash extends Error {
  name = 'RuntimeError';
}

/** Tells whether an error is the wasm's end: wllama throws a text where it had ended before. */
function isCrash(error) {
  return error?.name === 'RuntimeError' || typeof error === 'string';
}

/** Says what went wrong as llama.cpp's server does. A page's own mistake is told in its words. */
function wrong(error) {
  const message = String(error?.message ?? error);
  if (isCrash(error)) return { error: { code: 500, message: 'crashed' } };
  const type = /context size/.test(message) ? 'exceed_context_size_error' : 'invalid_request_error';
  return { error: { code: 400, message, type } };
}

function failed(status, message) {
  return Response.json({ error: { code: status, message } }, { status });
}

function unload() {
  clearTimeout(unasked);
  const left = engine;
  engine = undefined;
  left?.leave();
  left?.wllama.exit();
}

function mark({ stamp, tries = 0 }) {
  return `${stamp} ${tries}`;
}

/** Writes how loading goes to storage, by the worker. */
function keep(loading) {
  return chrome.runtime.sendMessage({ type: 'keep', values: { loading } });
}

/** Its log has prompts in it. */
const MUTE = { debug() {}, log() {}, warn() {}, error() {} };
