// The account's API keys: made with limits, and revoked.

import { unique } from './call.js';
import { call } from './holder.js';
import { day, fill, make, number, say, usd } from './write.js';

const $ = (id) => document.getElementById(id);
let asked = unique();

/** Shows the keys. */
export function showKeys(keys) {
  fill($('keys'), keys.map((key) => {
    const { prefix, name, spent, leftToday, leftTotal } = key;
    return [`${prefix}…`, name || '–', usd(spent), left(leftToday), left(leftTotal), state(key), isOpen(key) ? revoker(key) : ''];
  }));
}

const left = (amount) => (amount === null || amount === undefined ? number('no limit') : usd(amount));
const isOpen = ({ revoked, expiresAt }) => !revoked && !(expiresAt && expiresAt <= Date.now());

function state(key) {
  if (key.revoked) return 'Revoked';
  if (!isOpen(key)) return 'Over';
  return key.expiresAt ? `Until ${day(key.expiresAt)}` : 'Open';
}

function revoker({ prefix, name }) {
  const button = make('button', 'Revoke');
  button.type = 'button';
  button.setAttribute('aria-label', `Revoke ${name || prefix}`);
  button.addEventListener('click', async () => {
    // Asked for twice: nothing opens a revoked key again.
    if (!button.dataset.sure) {
      button.dataset.sure = 'true';
      button.textContent = 'Revoke for good';
      button.removeAttribute('aria-label');
      return;
    }
    try {
      const { revoked } = await call(`/api/account/keys/${prefix}`, { method: 'DELETE', once: unique() });
      showKeys((await call('/api/account/keys')).keys);
      say($('keys-outcome'), `Revoked: ${revoked.map((one) => `${one}…`).join(', ')}.`);
    } catch ({ message }) {
      say($('keys-outcome'), message, 'bad');
    }
  });
  return button;
}

$('make').addEventListener('submit', async (event) => {
  event.preventDefault();
  const body = {};
  for (const [field, typed] of new FormData(event.target)) {
    const value = typed.trim();
    if (value === '') continue;
    if (field === 'models') body.models = value.split(',').map((model) => model.trim()).filter(Boolean);
    // The day that was named is the last one.
    else if (field === 'expiresAt') body.expiresAt = Date.parse(value) + 86_400_000;
    else body[field] = value;
  }
  try {
    const { key } = await call('/api/account/keys', { method: 'POST', body, once: asked });
    asked = unique();
    event.target.reset();
    $('new').open = false;
    $('made').hidden = false;
    $('made-key').textContent = key;
    showKeys((await call('/api/account/keys')).keys);
    say($('keys-outcome'), 'The key was made.');
  } catch ({ message }) {
    say($('keys-outcome'), message, 'bad');
  }
});
