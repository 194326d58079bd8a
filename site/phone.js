// The owner's phone: it is paired by the code in the address, and sees and steers one computer.

import { unique } from './call.js';
import { Relay, parse } from './client/relay.js';
import { facts, moment, say, usd } from './write.js';

/** Under which name the browser keeps what the relay knows this phone by. */
const KEPT = 'phone';

/** How often it is looked, in milliseconds, while somebody looks on. */
const LOOK_EVERY = 10_000;

const WAYS = { paypal: 'PayPal', stripe: 'Stripe', usdc: 'USDC' };

const $ = (id) => document.getElementById(id);

let token = localStorage.getItem(KEPT);
/** What the payout costs that was shown, once it was. */
let accepted;
/** Forgetting asks twice. */
let sure = false;

// The code never leaves the browser but to pair: what stands behind the sign is sent to no server.
let code = location.hash.slice(1);
if (code) history.replaceState(null, '', location.pathname);

$('pair').addEventListener('submit', pair);
$('payout-ask').addEventListener('click', payOut);
$('forget').addEventListener('click', forget);
for (const button of document.querySelectorAll('[data-rest]')) {
  button.addEventListener('click', () => rest(button.dataset.rest));
}
document.addEventListener('visibilitychange', look);
setInterval(look, LOOK_EVERY);
show();
look();

function show() {
  $('pair').hidden = !code;
  $('unpaired').hidden = Boolean(code) || Boolean(token);
  $('inside').hidden = true;
}

async function call(path, { method = 'GET', body, once } = {}) {
  const headers = once && { 'idempotency-key': once };
  const response = await new Relay(location.origin, token).once(path, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  return text === '' ? null : parse(text);
}

async function pair(event) {
  event.preventDefault();
  try {
    ({ token } = await call('/api/phone', { method: 'POST', body: { code, name: $('name').value } }));
    localStorage.setItem(KEPT, token);
    code = '';
    say($('outcome'), '');
    show();
    await look();
  } catch ({ message }) {
    say($('outcome'), message, 'bad');
  }
}

async function look() {
  if (!token || document.hidden) return;
  try {
    paint(await call('/api/phone'));
    say($('outcome'), '');
  } catch ({ code: reason, message }) {
    if (reason === 'invalid_phone') lose();
    say($('outcome'), message, 'bad');
  }
}

function paint({ name, gpu, live, paused, jobs, models, earnings, payout }) {
  $('inside').hidden = false;
  $('title').textContent = name || gpu || 'My GPU';
  $('live').hidden = false;
  $('live').textContent = live ? 'Live' : 'Not connected';
  $('live').dataset.live = live;
  $('standing').textContent = !live ? 'Not connected' : paused ? 'Takes no new jobs' : 'Takes jobs';
  $('standing-note').textContent = live ? `${jobs} at work now.` : 'It can be steered when it is connected again.';
  $('pauses').hidden = !live || paused;
  $('resumes').hidden = !live || !paused;
  $('today').textContent = usd(earnings.today);
  facts($('earned'), [
    ['Last 7 days', usd(earnings.last7Days)],
    ['In all', usd(earnings.total)],
    ['Available', usd(earnings.available)],
    ['Held back', usd(earnings.held)],
  ]);
  $('payout-ask').hidden = !payout || Number(earnings.available) <= 0;
  $('payout-terms').textContent = terms(payout);
  $('no-models').hidden = models.length > 0;
  paintPrices(models);
}

function terms(payout) {
  if (!payout) return 'You have not said yet how you are paid. Do that on your computer.';
  const { method, destination, heldUntil } = payout;
  const way = `Paid by ${WAYS[method]} to ${destination}. That is set on your computer.`;
  return heldUntil ? `${way} Nothing is paid out before ${moment(heldUntil)}, because that is new.` : way;
}

/** Shows the models that are offered; what is being written stays. */
function paintPrices(models) {
  const rows = new Map([...$('prices').children].map((row) => [row.dataset.model, row]));
  const next = models.map((model) => rows.get(model.id) ?? priceRow(model.id));
  if (next.some((row, at) => $('prices').children[at] !== row) || rows.size !== next.length) $('prices').replaceChildren(...next);
  models.forEach(({ price }, at) => {
    for (const field of next[at].querySelectorAll('input')) {
      if (field.value === field.defaultValue) field.value = field.defaultValue = price[field.name];
    }
  });
}

function priceRow(model) {
  const row = $('price').content.firstElementChild.cloneNode(true);
  row.dataset.model = model;
  row.querySelector('h3').textContent = model;
  row.querySelector('button').setAttribute('aria-label', `Save the price of ${model}`);
  row.querySelector('form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const [input, output] = row.querySelectorAll('input');
    const body = { model, input: input.value.trim(), output: output.value.trim() };
    await act(row.querySelector('.outcome'), 'Saved on your computer.', async () => {
      await call('/api/phone/price', { method: 'POST', body });
      for (const field of [input, output]) field.defaultValue = field.value;
    });
  });
  return row;
}

function rest(wish) {
  const said = wish === 'none' ? 'Your computer takes jobs again.' : 'Your computer takes no new jobs. Those that run are finished.';
  return act($('jobs-outcome'), said, () => call('/api/phone/pause', { method: 'POST', body: { rest: wish } }));
}

/** Asks what a payout costs, and makes it once that was shown. */
async function payOut() {
  const body = { amount: 'all', ...(accepted && { accept: accepted.cost }) };
  const outcome = $('payout-outcome');
  try {
    const { quote, payout } = await call('/api/phone/payout', { method: 'POST', body, once: accepted?.once ?? unique() });
    accepted = quote && { cost: quote.cost, once: unique() };
    $('payout-ask').textContent = quote ? `Pay out ${usd(quote.amount)}` : 'Pay out all of it';
    if (quote) say(outcome, `It costs ${usd(quote.cost)}, so ${usd(quote.arrives)} arrives.`);
    if (payout) say(outcome, `${usd(payout.amount)} is on its way.`);
    await look();
  } catch ({ message }) {
    say(outcome, message, 'bad');
  }
}

async function act(outcome, done, work) {
  say(outcome, '');
  try {
    await work();
    await look();
    say(outcome, done);
  } catch ({ message }) {
    say(outcome, message, 'bad');
  }
}

async function forget() {
  if (!sure) {
    sure = true;
    $('forget').textContent = 'Forget it all the same';
    return;
  }
  await call('/api/phone', { method: 'DELETE' }).catch(() => {});
  lose();
}

function lose() {
  token = null;
  localStorage.removeItem(KEPT);
  $('live').hidden = true;
  show();
}
