// The account page: signs in with an API key and shows what the account has. All figures are the relay's.

import { showGpus } from './gpus.js';

const $ = (id) => document.getElementById(id);

/** Calls the relay with the key of this tab. Gives the answer, or throws its sentence. */
export async function call(path, { method = 'GET', body, once } = {}) {
  const headers = { authorization: `Bearer ${sessionStorage.getItem('key')}` };
  if (body) headers['content-type'] = 'application/json';
  if (once) headers['idempotency-key'] = once;
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) }).catch(() => {
    throw new Error('The relay cannot be reached.');
  });
  if (response.status === 204) return null;
  const value = await response.json().catch(() => null);
  if (response.ok) return value;
  const { code, message } = value?.error ?? { message: `The relay answered ${response.status}.` };
  throw Object.assign(new Error(sentence(message)), { code });
}

/** Writes an amount in dollars with no more digits than tell something. */
export function usd(amount) {
  const [whole, parts = ''] = String(amount).split('.');
  const kept = Number(whole) === 0 ? parts.slice(0, 9) : parts.slice(0, 2);
  return `$${whole}.${kept.replace(/0+$/, '').padEnd(2, '0')}`;
}

/** Makes an element with a text. */
export function make(name, text, className = '') {
  return Object.assign(document.createElement(name), { textContent: text, className });
}

$('enter').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem('key', $('key').value.trim());
  enter();
});

$('leave').addEventListener('click', () => {
  sessionStorage.removeItem('key');
  $('key').value = '';
  show(false);
  $('key').focus();
});

if (sessionStorage.getItem('key')) enter();

async function enter() {
  $('enter-outcome').textContent = '';
  try {
    // This one wants a key without limits, so it tells first whether this is one.
    const { plugins } = await call('/api/account/plugins');
    const [account, { keys }] = await Promise.all([call('/api/account'), call('/api/account/keys')]);
    paint(account, keys);
    showGpus(plugins);
    show(true);
  } catch ({ message }) {
    show(false);
    $('enter-outcome').textContent = message;
  }
}

function show(inside) {
  $('enter').hidden = inside;
  $('inside').hidden = !inside;
  $('leave').hidden = !inside;
}

function paint({ account, balance, held, spent, usage }, keys) {
  $('balance').textContent = usd(balance);
  $('held').textContent = usd(held);
  $('spent').textContent = usd(spent);
  $('account').textContent = account;
  $('keys').replaceChildren(...keys.map(keyRow));
  $('no-usage').hidden = usage.length > 0;
  $('usage-shown').hidden = usage.length === 0;
  const latest = usage.toSorted((one, other) => other.day - one.day);
  $('usage').replaceChildren(...latest.map(usageRow));
}

function keyRow({ prefix, name, spent, revoked, expiresAt }) {
  const state = revoked ? 'Revoked' : expiresAt ? `Until ${new Date(expiresAt).toLocaleDateString()}` : 'Open';
  return row([`${prefix}…`, name || '–', usd(spent), state], [2]);
}

function usageRow({ day, model, jobs, promptTokens, answerTokens, spent }) {
  const date = new Date(day).toLocaleDateString(undefined, { timeZone: 'UTC' });
  const tokens = (promptTokens + answerTokens).toLocaleString();
  return row([date, model, jobs.toLocaleString(), tokens, usd(spent)], [2, 3, 4]);
}

function row(texts, numbers) {
  const line = make('tr', '');
  line.append(...texts.map((text, at) => make('td', text, numbers.includes(at) ? 'number' : '')));
  return line;
}

function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
