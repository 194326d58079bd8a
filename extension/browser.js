// The page of the model in the browser: which file it is, how far it is copied, and how it does. The copying itself
// is done by copy.js for as long as this page is open; what is written stays.

import init, { door } from './pkg/agent.js';
import { browser } from './pkg/parts.js';
import { number, say, sentence } from './words.js';
import { tell, watch } from './line.js';
import { write } from './figures.js';
import { open, shut } from './permissions.js';
import { BYTES_MAX, isOn, isWhole, remove } from './weights.js';

/** How often it is written to storage how far it is, in milliseconds. */
const KEEP_EVERY = 2_000;

const ADDRESS = 'http://in-browser.invalid';

/** How often the agent is asked to look on before it may run for others, in milliseconds. */
const LOOK_EVERY = 30_000;

const $ = (id) => document.getElementById(id);

let weights = (await chrome.storage.local.get('weights')).weights;
let seen = {};
let worker;
let checking = 0;
let kept = 0;
/** Deleting asks twice. */
let sure = false;

$('missing').hidden = browser;
if (browser) begin();
document.body.dataset.painted ??= performance.now();

function begin() {
  watch((state) => {
    seen = state;
    paint();
  });
  chrome.storage.local.onChanged.addListener(({ weights: change }) => {
    if (!change || worker) return;
    weights = change.newValue;
    paint();
  });
  look();
  setInterval(() => document.hidden || look(), LOOK_EVERY);
  paint();
}

/** Before the owner has said yes the agent looks only while somebody looks on. */
function look() {
  if (isOn(weights) && !seen.consent) tell('look');
}

$('file').addEventListener('change', ({ target }) => target.files[0] && choose(target.files[0]));
$('same').addEventListener('change', ({ target }) => target.files[0] && copy({ file: target.files[0] }));
$('fetch').addEventListener('submit', fetchIt);
$('pause').addEventListener('click', () => worker?.postMessage('pause'));
$('go-on').addEventListener('click', goOn);
$('delete').addEventListener('click', drop);
$('test').addEventListener('click', () => tell('try', { address: ADDRESS }));
$('load').addEventListener('click', () => keep({ tries: (weights.tries ?? 0) + 1 }));
// Closed in the middle: what was opened for it is shut behind it.
addEventListener('pagehide', () => worker && chrome.runtime.sendMessage({ type: 'shut' }));
$('on').addEventListener('change', async ({ target }) => {
  await keep({ on: target.checked });
  look();
});

async function choose(file) {
  if (file.size > BYTES_MAX) return fault('browser_too_large');
  const { quota = Infinity, usage = 0 } = await navigator.storage.estimate();
  if (file.size > quota - usage) return fault('browser_no_room');
  await begun({ name: named(file.name), bytes: file.size });
  copy({ file });
}

async function fetchIt(event) {
  event.preventDefault();
  const from = parsed($('address').value.trim())?.href ?? $('address').value.trim();
  const wanted = $('wanted').value.trim().toLowerCase();
  const { origin, error } = await opening(from);
  write($('address-error'), error ? sentence(error) : $('wanted').validity.patternMismatch ? say('browser_bad_sum') : '');
  if ($('address-error').textContent) return;
  if (!(await allowed(origin))) return fault('browser_not_allowed');
  const path = new URL(from).pathname.split('/').at(-1);
  await begun({ name: named(decoded(path)), bytes: 0, from, origin, wanted });
  copy({ from });
}

async function goOn() {
  const { origin } = await opening(weights.from);
  if (!(await allowed(origin))) return fault('browser_not_allowed');
  copy({ from: weights.from });
}

let ready;

async function opening(from) {
  await (ready ??= init({ module_or_path: 'pkg/agent_bg.wasm' }));
  return JSON.parse(door(from, chrome.runtime.id));
}

/** Chrome asks the owner for the host of an address, unless it is this computer. */
async function allowed(origin) {
  return !origin || chrome.permissions.request({ origins: [origin] });
}

/** Returns the name by which pages see it: short, and without what nobody can see. */
function named(file) {
  return file.replace(/\.gguf$/i, '').replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '').slice(0, 100).trim() || 'model';
}

function parsed(text) {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Notes that other weights are chosen, of which nothing is here. */
async function begun(chosen) {
  weights = undefined;
  await keep({ ...chosen, at: 0, on: true, stamp: Date.now() });
}

function keep(change) {
  weights = { ...weights, ...change };
  kept = performance.now();
  paint();
  return chrome.storage.local.set({ weights });
}

/** Copies on from where it is: from a file, or from an address, for which the fence is opened meanwhile. */
async function copy(source) {
  if (worker) return;
  write($('fault'), '');
  worker = new Worker('copy.js', { type: 'module' });
  if (source.from) await open((await opening(source.from)).rule);
  const { at, bytes, etag } = weights;
  const ended = new Promise((resolve) => {
    worker.onmessage = ({ data }) => ('at' in data || 'checking' in data ? goes(data) : resolve(data));
    worker.onerror = () => resolve({ fault: 'browser_copy_failed' });
  });
  worker.postMessage({ ...source, at, bytes, etag });
  paint();
  const end = await ended;
  worker.terminate();
  if (source.from) await shut();
  [worker, checking] = [undefined, 0];
  await after(end);
}

function goes({ at, bytes, etag = weights.etag, checking: read = 0 }) {
  checking = read;
  // It counts as whole only once it was read again: until then one byte is not there.
  weights = { ...weights, bytes, etag, ...(read ? {} : { at: Math.max(0, Math.min(at, bytes - 1)) }) };
  if (performance.now() - kept > KEEP_EVERY) keep({});
  else paint();
}

async function after({ fault: key, sha256 }) {
  if (key) {
    await keep({});
    return fault(key);
  }
  if (!sha256) return keep({});
  if (weights.wanted && weights.wanted !== sha256) {
    await forget();
    return fault('browser_wrong_sum');
  }
  await keep({ at: weights.bytes, sha256 });
  return look();
}

async function drop() {
  if (!sure) {
    sure = true;
    return paint();
  }
  worker?.terminate();
  worker = undefined;
  if (weights.from) await shut();
  return forget();
}

async function forget() {
  weights = undefined;
  write($('fault'), '');
  sure = false;
  await chrome.storage.local.remove('weights');
  await remove().catch(() => fault('browser_in_use'));
  paint();
}

function fault(key) {
  write($('fault'), say(key, number(BYTES_MAX / 2 ** 30)));
  paint();
}

function paint() {
  $('choose').hidden = Boolean(weights);
  $('chosen').hidden = !weights;
  $('fault').hidden = !$('fault').textContent;
  $('running').hidden = !isOn(weights);
  if (weights) paintWeights();
  if (isOn(weights)) paintRunning(seen);
}

function paintWeights() {
  const { name, bytes, at, from, sha256 } = weights;
  const whole = isWhole(weights);
  write($('name'), name);
  $('progress').hidden = whole;
  $('progress').value = bytes > 0 ? (checking || at) / bytes : 0;
  const sizes = [size(checking || at), bytes > 0 ? size(bytes) : '?'];
  if (whole) write($('how-far'), size(bytes));
  else if (checking) write($('how-far'), say('browser_checking', ...sizes));
  else write($('how-far'), say(worker ? 'browser_copying' : 'browser_paused', ...sizes));
  write($('sum'), whole && sha256 ? say('browser_sum', sha256) : '');
  $('again').hidden = whole || Boolean(worker) || Boolean(from);
  $('pause').hidden = !worker || checking > 0;
  $('go-on').hidden = whole || Boolean(worker) || !from;
  $('on-line').hidden = !whole;
  $('on').checked = weights.on;
  write($('delete'), say(sure ? 'browser_delete_sure' : 'browser_delete'));
}

function paintRunning({ browser: model, trial, models = [] }) {
  const { code } = model?.reason ?? {};
  const tried = trial?.model === weights.name ? trial : undefined;
  const offered = models.find((one) => one.model === weights.name);
  $('state').dataset.tone = { browser_loading: 'busy', browser_untried: 'busy', browser_slow: 'warn', browser_unfit: 'bad' }[code] ?? (offered ? 'good' : 'idle');
  const said = model?.reason ? sentence(model.reason, 'why') : say(offered ? 'browser_ready' : 'browser_waiting');
  write($('state'), tried?.running ? say('welcome_trying', weights.name) : said);
  const speed = tried?.tokensPerSecond ?? offered?.tokensPerSecond;
  write($('speed'), tried?.failed ? sentence(tried.failed) : speed ? say('browser_speed', speed) : '');
  $('test').hidden = !model || model.models.length === 0;
  $('test').disabled = tried?.running ?? false;
  $('load').hidden = code !== 'browser_unfit';
}

/** Writes a number of bytes as files are shown. */
function size(bytes) {
  const [unit, name] = bytes >= 1e9 ? [1e9, 'GB'] : bytes >= 1e6 ? [1e6, 'MB'] : [1e3, 'KB'];
  return `${number(Math.round((bytes / unit) * 10) / 10)} ${name}`;
}
