// The account's API keys: made with limits, and revoked.

import { unique } from './call.js';
import { isWhole, refused } from './fields.js';
import { call } from './holder.js';
import { inTab } from './kept.js';
import { twice } from './twice.js';
import { day, fill, make, number, say, usd } from './write.js';

const $ = (id) => document.getElementById(id);
let asked = unique();

/** Shows the keys. */
export function showKeys(keys) {
  fill($('keys'), keys.map((key) => {
    const { prefix, name, spent, leftToday, leftTotal } = key;
    return [`${prefix}…`, name || '–', limits(key), usd(spent), left(leftToday), left(leftTotal), state(key), isOpen(key) ? revoker(key) : ''];
  }));
}

/** Says what a key may, in a line. */
function limits({ models, maxPrice, budgetPerDay, budgetTotal, expiresAt, objectives }) {
  const { input, output } = maxPrice ?? {};
  const price = input === output ? input && `up to ${usd(input)}`
    : [input && `up to ${usd(input)} in`, output && `up to ${usd(output)} out`].filter(Boolean).join(' and ');
  const all = [
    models && models.join(', '), price && `${price} a million tokens`, budgetPerDay && `${usd(budgetPerDay)} a day`,
    budgetTotal && `${usd(budgetTotal)} in all`, expiresAt && `until ${day(expiresAt - 1)}`, objectives && 'its projects alone',
  ].filter(Boolean);
  return all.length > 0 ? all.join('; ') : 'none';
}

const left = (amount) => (amount === null || amount === undefined ? number('no limit') : usd(amount));
const isOpen = ({ revoked, expiresAt }) => !revoked && !(expiresAt && expiresAt <= Date.now());

function state(key) {
  if (key.revoked) return 'Revoked';
  if (!isOpen(key)) return 'Over';
  return 'Open';
}

function revoker({ prefix, name }) {
  const button = make('button', 'Revoke');
  button.type = 'button';
  button.setAttribute('aria-label', `Revoke ${name || prefix}`);
  // Nothing opens a revoked key again.
  twice(button, () => 'Revoke for good', async () => {
    try {
      const { revoked } = await call(`/api/account/keys/${prefix}`, { method: 'DELETE', once: unique() });
      if (revoked.some((one) => $('made-key').textContent.startsWith(one))) $('made').hidden = true;
      say($('keys-outcome'), `Revoked: ${revoked.map((one) => `${one}…`).join(', ')}`);
      // Whoever has revoked the key that he came with has to come with another one.
      if (revoked.some((one) => inTab.read('key')?.startsWith(one))) {
        $('leave').click();
        $('enter-outcome').textContent = 'The key that you came with is revoked. Sign in with another one.';
        return;
      }
      showKeys((await call('/api/account/keys')).keys);
    } catch ({ message }) {
      say($('keys-outcome'), message, 'bad');
    }
  });
  return button;
}

$('make').addEventListener('submit', async (event) => {
  event.preventDefault();
  if (!isWhole(event.target, $('keys-outcome'))) return;
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
  } catch (error) {
    refused(event.target, error, $('keys-outcome'));
  }
});
