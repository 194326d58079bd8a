// The account's balance, what can be paid in, and premium.

import { unique } from './call.js';
import { isWhole, refused } from './fields.js';
import { call } from './holder.js';
import { twice } from './twice.js';
import { facts, moment, say, usd } from './write.js';

const $ = (id) => document.getElementById(id);
let asked = unique();
let premium;

/** Shows what the account has. */
export function showMoney(account) {
  $('balance').textContent = usd(account.balance);
  facts($('money'), [
    ['Set aside for answers that run', usd(account.held)],
    ['Spent in all', usd(account.spent)],
    ['For ads', usd(account.ads.balance)],
    ['Account', account.account],
  ]);
  showPremium(account.premium);
}

$('top-up').addEventListener('submit', async (event) => {
  event.preventDefault();
  $('top-up-shown').hidden = true;
  if (!isWhole(event.target, $('top-up-outcome'))) return;
  try {
    const body = { amount: $('top-up-amount').value.trim(), for: $('top-up-for').value };
    const { url, amount, cost, credit } = await call('/api/account/top-ups', { method: 'POST', body, once: asked });
    asked = unique();
    $('top-up-terms').textContent = `Your card is charged ${usd(amount)}. The payment costs ${usd(cost)}, so ${usd(credit)} is added.`;
    // Nothing but a page to pay on comes here, and no script of whoever answers.
    if (!url.startsWith('https://')) throw new Error('The relay named no page to pay on.');
    $('top-up-go').href = url;
    $('top-up-shown').hidden = false;
    $('top-up-go').focus();
  } catch (error) {
    refused(event.target, error, $('top-up-outcome'));
  }
});

// Whoever has paid in another tab, or comes back, sees what it brought.
document.addEventListener('visibilitychange', async () => {
  if (document.hidden || $('inside').hidden) return;
  const account = await call('/api/account').catch(() => null);
  if (account) showMoney(account);
});

function showPremium(state) {
  relax();
  premium = state;
  $('premium').hidden = !state;
  if (!state) return;
  const { price, days, until, renews } = state;
  const offer = `${usd(price)} for ${days} days: no fee on your answers while it lasts.${until ? '' : ` It is taken from your balance when you begin, and again every ${days} days until you let it end.`}`;
  const lasts = until ? ` It lasts until ${moment(until)}${renews ? ', and then goes on' : ', and then ends'}.` : '';
  $('premium-terms').textContent = offer + lasts;
  $('premium-change').textContent = renews ? 'Let it end' : until ? 'Let it go on' : `Begin for ${usd(price)}`;
}

// It costs something at once where it begins.
const begins = () => (premium.renews || premium.until ? '' : `Yes, begin for ${usd(premium.price)}`);

const relax = twice($('premium-change'), begins, async () => {
  try {
    const body = premium.renews ? { renews: false } : { renews: true, price: premium.price };
    showPremium(await call('/api/account/premium', { method: 'PUT', body, once: unique() }));
    showMoney(await call('/api/account'));
    say($('premium-outcome'), 'Done.');
  } catch ({ message }) {
    say($('premium-outcome'), message, 'bad');
  }
});
