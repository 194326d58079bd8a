// The worker starts the agent's document, revives it, and does for it what only a worker may:
// storage, request rules, the toolbar and notifications. It makes no request and knows no rule of
// the product.
//
// chrome.storage.local (docs/decisions/0002-extension-storage.md):
//   config    the settings              written by options.js, and by the agent when a price is taken
//   consent   {given, at}               written by popup.js and options.js
//   paused    true or {until} while no jobs are taken, written by popup.js and the agent
//   steering  false while phones may change nothing; written by options.js
//   notices   {first, paid, needs}: false for a kind that is switched off; written by popup.js
//   told      {worked, paid, moved, needs}: what the last notifications were about, written by this worker
//   weights   the model in the browser: see weights.js; written by browser.js and copy.js
//   loading   {stamp, times} while the agent's document loads that model, written by the agent
//   identity  who the agent is to its relay, written by the agent
//   memory    what the agent counted and measured, written by the agent
//
// Messages, all with a `type`:
//   wake      page → worker: see to it that the agent's document is there, and that no door stands open; answered when so
//   boot      agent → worker: answered with all of storage
//   fence     agent → worker {rules}: answered when these request rules stand and no others do
//   keep      agent → worker {values}: write to storage
//   restart   agent → worker: make the document anew
//   sign      agent → worker {sign}: show this in the toolbar, and notify of what is new in it
//   idle      agent → worker: answered with what Chrome says of keyboard and mouse
//   forbidden agent → worker {origins}: answered with those for which Chrome lacks the owner's permission
//   reload    agent → worker: let the newer version take over
//   erase     page → worker: forget everything; answered when the extension is as just installed
//   settings  worker → agent {stored}: the owner changed something
//   input     worker → agent {state}: keyboard and mouse are used again, or no more
//   permissions  worker → agent: the owner has allowed a host, or no longer
//   update    worker → agent: a newer version waits
//   shut      page → worker: weights are fetched no longer, the page is being closed
//   journal   page → agent: answered with what the agent has been through, as text

import { usd } from './figures.js';
import { release, shut, shutBehind } from './permissions.js';
import { words } from './standing.js';
import { say, sentence } from './words.js';
import * as weights from './weights.js';

// Request rules do not stop a WebSocket of a worker. This one needs none, so it has none.
delete globalThis.WebSocket;
delete globalThis.WebSocketStream;

const DOCUMENT = 'agent.html';
// IDLE_AFTER of the agent.
const IDLE_SECONDS = 60;
const OWNERS_KEYS = ['config', 'consent', 'paused', 'steering', 'weights'];
/** Where a click on a notification leads. */
const PAGES = { first: 'earnings.html', paid: 'earnings.html', moved: 'earnings.html', needs: 'welcome.html' };

chrome.runtime.onInstalled.addListener(({ reason }) => {
  wake();
  if (reason === 'install') chrome.tabs.create({ url: 'welcome.html' });
});
chrome.runtime.onStartup.addListener(wake);
chrome.runtime.onUpdateAvailable.addListener(update);
chrome.alarms.onAlarm.addListener(wake);
chrome.storage.local.onChanged.addListener(tell);
chrome.notifications.onClicked.addListener((id) => {
  chrome.notifications.clear(id);
  chrome.tabs.create({ url: PAGES[id] });
});
chrome.idle.setDetectionInterval(IDLE_SECONDS);
chrome.idle.onStateChanged.addListener((state) => {
  // Without a document there is nobody to tell; a new one asks by itself.
  chrome.runtime.sendMessage({ type: 'input', state }).catch(() => {});
});
for (const event of [chrome.permissions.onAdded, chrome.permissions.onRemoved]) {
  event.addListener(() => chrome.runtime.sendMessage({ type: 'permissions' }).catch(() => {}));
}
chrome.runtime.onMessage.addListener((message, sender, answer) => {
  if (sender.id !== chrome.runtime.id || !Object.hasOwn(answers, message.type)) return false;
  answers[message.type](message).then(answer, (error) => console.error(message.type, error));
  return true;
});

const answers = {
  wake,
  boot: () => chrome.storage.local.get(),
  fence: ({ rules }) => fence(rules),
  keep: ({ values }) => chrome.storage.local.set(values),
  sign: ({ sign }) => (signing = signing.catch(() => {}).then(() => show(sign))),
  idle: () => chrome.idle.queryState(IDLE_SECONDS),
  async forbidden({ origins }) {
    const has = await Promise.all(origins.map((origin) => chrome.permissions.contains({ origins: [origin] })));
    return origins.filter((_, at) => !has[at]);
  },
  shut,
  async restart() {
    await chrome.offscreen.closeDocument().catch(() => {});
    await wake();
  },
  async reload() {
    // What the agent had kept a moment ago is written before this is read.
    await chrome.storage.local.get('memory');
    chrome.runtime.reload();
  },
  async erase() {
    await chrome.offscreen.closeDocument().catch(() => {});
    await chrome.storage.local.clear();
    await forget('device');
    await weights.remove();
    await shut();
    await release();
    await wake();
  },
};

/** Deletes a database of the extension's: the device keys. */
function forget(name) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(name);
    request.onsuccess = resolve;
    request.onerror = () => reject(request.error);
  });
}

let waking;
/** One sign after the other, so that nothing is notified twice. */
let signing = Promise.resolve();

/** Sees to it that the document is there, and that somebody looks again if it or this worker dies. */
function wake() {
  waking ??= revive().finally(() => (waking = undefined));
  return waking;
}

async function revive() {
  await chrome.alarms.create('wake', { periodInMinutes: 0.5 });
  await shutBehind();
  if (await present()) return;
  await chrome.offscreen.createDocument({
    url: DOCUMENT,
    reasons: ['WORKERS'],
    justification: 'Holds the connection to the relay and the streams of the model server.',
  });
}

/** Has the agent let its jobs end; it answers with `reload`. Without an agent nothing has to end. */
async function update() {
  const heard = (await present()) && (await chrome.runtime.sendMessage({ type: 'update' }).catch(() => false));
  if (!heard) chrome.runtime.reload();
}

async function present() {
  const contexts = await chrome.runtime.getContexts({ contextTypes: ['OFFSCREEN_DOCUMENT'] });
  return contexts.length > 0;
}

/** Replaces all rules in one step, so that there is no moment without. */
function fence(addRules) {
  const removeRuleIds = Array.from({ length: 100 }, (_, at) => at + 1);
  return chrome.declarativeNetRequest.updateDynamicRules({ removeRuleIds, addRules });
}

async function tell(changes) {
  if (!OWNERS_KEYS.some((key) => key in changes)) return;
  if (!(await present())) return wake();
  const stored = await chrome.storage.local.get();
  // A document that does not listen yet has still to ask for what is stored.
  await chrome.runtime.sendMessage({ type: 'settings', stored }).catch(() => {});
}

/** Shows a sign in the toolbar and notifies of what is new in it. */
async function show({ badge, color, key, many, reason, worked, paid, moved, needs }) {
  const { title, text } = words({ key, many, reason });
  await Promise.all([
    chrome.action.setBadgeText({ text: badge }),
    chrome.action.setBadgeBackgroundColor({ color }),
    chrome.action.setBadgeTextColor({ color: '#ffffff' }),
    chrome.action.setTitle({ title: `Rekursing: ${[title, text].filter(Boolean).join('. ')}` }),
  ]);
  const { told = { needs: '' }, notices = {} } = await chrome.storage.local.get(['told', 'notices']);
  const next = { worked: worked ?? told.worked, paid: paid ?? told.paid, moved: moved ?? told.moved, needs };
  if (JSON.stringify(next) === JSON.stringify(told)) return;
  await chrome.storage.local.set({ told: next });
  const notify = (id, message, kind = id) =>
    notices[kind] !== false &&
    chrome.notifications.create(id, { type: 'basic', iconUrl: 'icons/128.png', title: 'Rekursing', message });
  if (told.worked === false && next.worked) await notify('first', say('notice_first'));
  if (Number(next.paid) > Number(told.paid)) await notify('paid', say('notice_paid', usd(next.paid)));
  // Of a destination that somebody else has set, the owner hears before anything is paid to it.
  if (moved && moved !== told.moved) await notify('moved', say('payouts_changed'), 'needs');
  if (needs && needs !== told.needs) await notify('needs', sentence(reason, 'why'));
  if (!needs) await chrome.notifications.clear('needs');
}
