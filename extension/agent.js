// The offscreen document: it puts up the fence, then runs the wasm agent inside it.

import init, { Shell, fence } from './pkg/agent.js';
import * as device from './device.js';
import * as model from './model.js';
import { sign } from './standing.js';

/** Chrome's patterns of the model servers' hosts that need the owner's permission. */
let origins = [];
const shell = start();

chrome.runtime.onConnect.addListener(async (port) => (await shell).watch(port));

chrome.runtime.onMessage.addListener((message, sender, answer) => {
  if (message.type === 'settings') change(message.stored);
  if (message.type === 'permissions') shell.then(async (agent) => agent.forbidden(await forbidden()));
  if (message.type === 'input') shell.then((agent) => agent.input(message.state));
  if (message.type === 'update') shell.then((agent) => answer(agent.update() ?? true));
  if (message.type === 'journal') shell.then((agent) => answer(agent.journal()));
  return ['update', 'journal'].includes(message.type);
});

addEventListener('online', async () => (await shell).network());

// A panic leaves the agent unusable; the worker's alarm makes a new document within half a minute.
addEventListener('error', () => close());
shell.then(show, () => close());

async function start() {
  const loaded = init({ module_or_path: 'pkg/agent_bg.wasm' });
  const held = await chrome.runtime.sendMessage({ type: 'boot' });
  model.use(held);
  const stored = JSON.stringify(held);
  await loaded;
  const { policy, rules, origins: needed } = JSON.parse(fence(stored, chrome.runtime.id));
  origins = needed;
  const meta = document.createElement('meta');
  meta.httpEquiv = 'Content-Security-Policy';
  meta.content = policy;
  document.head.append(meta);
  await chrome.runtime.sendMessage({ type: 'fence', rules });
  const agent = await Shell.start(stored, chrome.runtime.id, await forbidden(), device.sign, model.answer);
  agent.input(await chrome.runtime.sendMessage({ type: 'idle' }));
  watchBattery(agent);
  return agent;
}

/** Asks which of them Chrome keeps from the extension. */
async function forbidden() {
  return JSON.stringify(await chrome.runtime.sendMessage({ type: 'forbidden', origins }));
}

async function watchBattery(agent) {
  const battery = await navigator.getBattery?.();
  const tell = () => agent.battery(!battery.charging);
  battery?.addEventListener('chargingchange', tell);
  if (battery) tell();
}

async function change(stored) {
  model.use(stored);
  if ((await shell).settings(JSON.stringify(stored))) chrome.runtime.sendMessage({ type: 'restart' });
}

/** Looks on as a page does, and has the worker change what the toolbar shows. */
function show(shell) {
  const deaf = { addListener() {} };
  let shown;
  const postMessage = (state) => {
    // What it says in words is the worker's to find: this document has no messages.
    const next = sign(state);
    if (JSON.stringify(next) === shown) return;
    shown = JSON.stringify(next);
    chrome.runtime.sendMessage({ type: 'sign', sign: next });
  };
  shell.watch({ postMessage, onMessage: deaf, onDisconnect: deaf });
}
