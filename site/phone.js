// The owner's phone: it is paired by the code in the address, and sees and steers one computer at a time.

import { unique } from './call.js';
import { Relay, parse } from './client/relay.js';
import { inBrowser } from './kept.js';
import { known } from './named.js';
import { facts, moment, say, usd } from './write.js';

/** Under which name the browser keeps the computers as `{pluginId, token, name}`; by the token the relay knows this phone. */
const KEPT = 'phones';

/** Under which name it keeps which of them is shown. */
const SHOWN = 'phone-shown';

/** Under which name it kept the token of the one computer, before there could be several. */
const BEFORE = 'phone';

/** How often it is looked, in milliseconds, while somebody looks on. */
const LOOK_EVERY = 10_000;

const WAYS = { paypal: 'PayPal', stripe: 'Stripe', usdc: 'USDC' };

const $ = (id) => document.getElementById(id);

takeOver();

/** The computer that is shown, of those that are kept. */
let shown = kept(inBrowser.read(SHOWN));
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
$('computer').addEventListener('change', () => choose($('computer').value));
for (const button of document.querySelectorAll('[data-rest]')) {
  button.addEventListener('click', () => rest(button.dataset.rest));
}
document.addEventListener('visibilitychange', look);
setInterval(look, LOOK_EVERY);
// The camera opens another tab, which pairs and forgets too.
addEventListener('storage', ({ key }) => {
  if (key !== KEPT) return;
  if (all().some(({ token }) => token === shown?.token)) list();
  else choose(shown?.pluginId);
});
show();
look();

function all() {
  try {
    const list = JSON.parse(inBrowser.read(KEPT) ?? '[]');
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}

/** Takes the one computer of before among the others; which one it is, the relay says as soon as it is looked at. */
function takeOver() {
  const token = inBrowser.read(BEFORE);
  if (!token) return;
  if (!all().some((one) => one.token === token)) keep([...all(), { pluginId: '', token, name: '' }]);
  inBrowser.remove(BEFORE);
}

/** Gives a computer that is kept: this one, or else the first. */
function kept(pluginId) {
  return all().find((one) => one.pluginId === pluginId) ?? all()[0];
}

function keep(list) {
  inBrowser.write(KEPT, JSON.stringify(list));
}

/** Shows this computer, or else the first that there is. */
async function choose(pluginId) {
  shown = kept(pluginId);
  inBrowser.write(SHOWN, shown?.pluginId ?? '');
  // What was said, asked and written was about another one.
  accepted = undefined;
  sure = false;
  $('payout-ask').textContent = 'Pay out all of it';
  $('forget').textContent = 'Forget this phone';
  $('prices').replaceChildren();
  for (const place of document.querySelectorAll('[role="status"]')) say(place, '');
  show();
  await look();
}

function show() {
  $('pair').hidden = !code;
  $('unpaired').hidden = Boolean(code) || Boolean(shown);
  $('inside').hidden = true;
  $('live').hidden = true;
  $('title').textContent = shown?.name || 'My GPU';
  list();
}

/** Lists the computers to choose from, where there are several; those of one name by numbers. */
function list() {
  const names = all().map(({ name }) => name || 'My GPU');
  $('computers').hidden = names.length < 2;
  $('computer').replaceChildren(...all().map(({ pluginId }, at) => {
    const same = names.slice(0, at).filter((name) => name === names[at]).length;
    return new Option(same > 0 ? `${names[at]} (${same + 1})` : names[at], pluginId);
  }));
  $('computer').value = shown?.pluginId ?? '';
}

async function call(path, { method = 'GET', body, once, token = shown?.token } = {}) {
  const headers = once && { 'idempotency-key': once };
  const response = await new Relay(location.origin, token).once(path, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  return text === '' ? null : parse(text);
}

async function pair(event) {
  event.preventDefault();
  try {
    const body = { code, name: $('name').value };
    const { pluginId, token } = await call('/api/phone', { method: 'POST', body, token: null });
    const [before, others] = [true, false].map((is) => all().filter((one) => (one.pluginId === pluginId) === is));
    keep([...others, { pluginId, token, name: '' }]);
    code = '';
    // The relay need not know this phone twice.
    for (const one of before) call('/api/phone', { method: 'DELETE', token: one.token }).catch(() => {});
    await choose(pluginId);
  } catch ({ code: reason, message }) {
    say($('outcome'), reason === 'wrong_pairing_code' ? `${message} Have your computer show a new one.` : message, 'bad');
  }
}

async function look() {
  const asked = shown;
  if (!asked || document.hidden) return;
  try {
    const seen = await call('/api/phone');
    if (asked !== shown) return;
    paint(seen);
    say($('outcome'), '');
  } catch ({ code: reason, message }) {
    if (reason === 'invalid_phone') await lose(asked);
    else if (asked !== shown) return;
    say($('outcome'), message, 'bad');
  }
}

function paint({ pluginId, name, gpu, live, paused, pausedUntil, jobs, models, earnings, payout }) {
  $('inside').hidden = false;
  entitle(pluginId, name || known(gpu) || 'My GPU');
  $('live').hidden = false;
  $('live').textContent = live ? 'Live' : 'Not connected';
  $('live').dataset.live = live;
  $('standing').textContent = !live ? 'Not connected' : !paused ? 'Takes jobs' : pausedUntil ? `Paused until ${hour(pausedUntil)}` : 'Takes no new jobs';
  $('standing-note').textContent = live ? work(jobs) : 'Start that computer and its browser; then you can pause it and set prices here.';
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

/** Writes the hour at which something ends, with the day where that is another. */
function hour(at) {
  const [end, now] = [new Date(at), new Date()];
  const day = end.toDateString() === now.toDateString() ? {} : { weekday: 'long' };
  return end.toLocaleString(undefined, { ...day, hour: 'numeric', minute: '2-digit' });
}

const work = (jobs) => (jobs === 0 ? 'No job runs at the moment.' : jobs === 1 ? 'One job runs.' : `${jobs} jobs run.`);

/** Keeps which computer is shown, and how it is called at present. */
function entitle(pluginId, name) {
  $('title').textContent = name;
  if (name === shown.name && pluginId === shown.pluginId) return;
  Object.assign(shown, { pluginId, name });
  // One that was taken over may be there by another pairing too.
  keep(all().filter((one) => one.token === shown.token || one.pluginId !== pluginId).map((one) => (one.token === shown.token ? shown : one)));
  inBrowser.write(SHOWN, pluginId);
  list();
}

function terms(payout) {
  if (!payout) return 'You have not said yet how you are paid. Do that in the extension, or on your account’s page if the computer is paired with it.';
  const { method, destination, heldUntil } = payout;
  const way = `Paid by ${WAYS[method]} to ${destination}. That is set in the extension, or on your account’s page if the computer is paired with it.`;
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
  const asked = shown;
  try {
    const { quote, payout } = await call('/api/phone/payout', { method: 'POST', body, once: accepted?.once ?? unique() });
    if (asked !== shown) return;
    accepted = quote && { cost: quote.cost, once: unique() };
    $('payout-ask').textContent = quote ? `Pay out ${usd(quote.amount)}` : 'Pay out all of it';
    if (quote) say(outcome, `It costs ${usd(quote.cost)}, so ${usd(quote.arrives)} arrives.`);
    if (payout) say(outcome, `${usd(payout.amount)} is on its way.`);
    await look();
  } catch ({ message }) {
    if (asked === shown) say(outcome, message, 'bad');
  }
}

async function act(outcome, done, work) {
  const asked = shown;
  const tell = (text, tone) => asked === shown && say(outcome, text, tone);
  tell('');
  try {
    await work();
    await look();
    tell(done);
  } catch ({ message }) {
    tell(message, 'bad');
  }
}

async function forget() {
  if (!sure) {
    sure = true;
    $('forget').textContent = 'Forget it all the same';
    return;
  }
  const forgotten = shown;
  await call('/api/phone', { method: 'DELETE' }).catch(() => {});
  await lose(forgotten);
}

/** Keeps this computer no longer, and shows another where there is one. */
async function lose({ token }) {
  keep(all().filter((one) => one.token !== token));
  if (shown?.token === token) await choose();
  else list();
}
