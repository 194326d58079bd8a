// The line from a page of the owner's to the agent: its state comes, wishes go, answers come back.

import { say } from './words.js';

let port;
let last = 0;
const waiting = new Map();

/** Calls `paint` with the agent's state, at once and with each change, for as long as the page is there. */
export function watch(paint) {
  port = chrome.runtime.connect({ name: 'state' });
  port.onMessage.addListener((message) => (message.type === 'got' ? got(message) : paint(message)));
  port.onDisconnect.addListener(async () => {
    for (const id of waiting.keys()) got({ id, status: 0, body: LOST });
    // Nobody was there, or the agent's document is made anew.
    await chrome.runtime.sendMessage({ type: 'wake' }).catch(() => {});
    setTimeout(watch, 100, paint);
  });
}

/** Tells the agent to `retry` the link, to `renew` who it is, to `look` for model servers, to `try` the model, or to `pause`. */
export function tell(type, fields = {}) {
  post({ type, ...fields });
}

/**
 * Wants something of the relay through the agent, which alone knows the secret: see wants.rs.
 * Gives `{status, body}`; the status is 0 where the relay was not reached.
 */
export function want(what, fields = {}) {
  const id = ++last;
  return new Promise((resolve) => {
    waiting.set(id, resolve);
    if (!post({ type: 'want', id, what, ...fields })) got({ id, status: 0, body: LOST });
  });
}

/** Wants JSON: gives the value, or throws what the relay or the agent said instead. */
export async function wantJson(what, fields) {
  const { status, body } = await want(what, fields);
  const value = read(body);
  if (status >= 200 && status < 300) return value;
  const { code, message } = value?.error ?? { code: 'unreadable', message: say('error_unreadable', String(status)) };
  throw Object.assign(new Error(message), { code });
}

const LOST = JSON.stringify({ error: { code: 'agent_gone', message: say('error_agent_gone') } });

/** Tells whether the message left: between two agents the line is cut, and a message would be lost. */
function post(message) {
  try {
    port.postMessage(message);
    return true;
  } catch {
    return false;
  }
}

function got({ id, status, body }) {
  waiting.get(id)?.({ status, body });
  waiting.delete(id);
}

function read(body) {
  try {
    return body === '' ? null : JSON.parse(body);
  } catch {
    return null;
  }
}
