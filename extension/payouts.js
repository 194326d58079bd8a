// How an owner is paid, payouts asked for and made, and statements to keep. Costs, bounds and states
// are the relay's: nothing is reckoned here.

import { fault, make, moment, usd, write } from './figures.js';
import { want, wantJson } from './line.js';
import { language, say } from './words.js';

const $ = (id) => document.getElementById(id);

/** The name of each way, and what its destination is. */
const WAYS = {
  paypal: ['PayPal', 'payouts_to_paypal'],
  stripe: ['Stripe', 'payouts_to_stripe'],
  usdc: ['USDC', 'payouts_to_usdc'],
};

const STATES = {
  requested: 'payouts_state_requested',
  sent: 'payouts_state_sent',
  confirmed: 'payouts_state_confirmed',
  returned: 'payouts_state_returned',
  cancelled: 'payouts_state_cancelled',
};

let methods = [];
let quoted;
let changed = () => {};

$('way').addEventListener('change', hint);
$('method').addEventListener('submit', (event) => act(event, save));
$('forget').addEventListener('click', (event) => act(event, () => wantJson('forget_method')));
$('order').addEventListener('submit', (event) => act(event, ask));
$('accept').addEventListener('click', (event) => act(event, accept));
$('csv').addEventListener('click', () => download(true));
$('json').addEventListener('click', () => download(false));
months();

/** Shows payouts and the way of being paid; `after` is called when a balance has changed. */
export async function showPayouts(after) {
  changed = after;
  try {
    paint(await wantJson('payouts'));
  } catch (error) {
    tell('bad', fault(error));
  }
}

function paint({ method, methods: ways, payouts, changeable = true }) {
  methods = ways;
  const options = ways.map((way) => Object.assign(make('option', '', WAYS[way.method]?.[0] ?? way.method), { value: way.method }));
  // What the owner is writing is left alone.
  if (!$('method').contains(document.activeElement)) {
    $('way').replaceChildren(...options);
    $('way').value = method?.method ?? ways[0]?.method;
    $('destination').value = method?.destination ?? '';
    $('schedule').value = method?.schedule ?? 'manual';
    $('threshold').value = method?.threshold ?? '';
  }
  $('forget').hidden = !method;
  $('ways').disabled = !changeable;
  $('order').hidden = !method;
  hint();
  const cost = method && say('payouts_cost', usd(method.threshold), usd(method.cost));
  const next = method?.nextAt && say('payouts_next', moment(method.nextAt));
  const waits = method && !method.ready && say('payouts_not_ready');
  const moved = method?.heldUntil && say('payouts_changed');
  const elsewhere = !changeable && say('payouts_by_account');
  write($('method-cost'), [elsewhere, cost, next, waits, moved].filter(Boolean).join(' '));
  $('history').hidden = payouts.length === 0;
  $('made').replaceChildren(...payouts.map(row));
}

function hint() {
  const way = methods.find(({ method }) => method === $('way').value);
  $('threshold').placeholder = way?.minimum ?? '';
  const key = WAYS[$('way').value]?.[1];
  const least = way && say('payouts_least', usd(way.minimum), usd(way.cost));
  write($('destination-hint'), [key && say(key), least].filter(Boolean).join(' '));
}

function row(payout) {
  const line = make('tr');
  line.append(Object.assign(make('th', '', moment(payout.requestedAt)), { scope: 'row' }));
  line.append(make('td', 'long', `${WAYS[payout.method]?.[0] ?? payout.method}, ${payout.destination}`));
  for (const amount of [payout.amount, payout.cost, payout.arrives]) line.append(make('td', '', usd(amount)));
  const state = make('td', 'long', Object.hasOwn(STATES, payout.state) ? say(STATES[payout.state]) : payout.state);
  if (payout.reason) state.append(make('div', 'quiet', payout.reason));
  if (payout.reference) state.append(make('div', 'quiet', payout.reference));
  if (payout.state === 'requested') {
    const button = Object.assign(make('button', '', say('payouts_take_back')), { type: 'button' });
    button.addEventListener('click', (event) => act(event, () => wantJson('cancel_payout', { payout: payout.payoutId })));
    state.append(button);
  }
  line.append(state);
  return line;
}

/** Does what a form or button asks, says what came of it, and shows how things stand then. */
async function act(event, work) {
  event.preventDefault();
  const button = event.submitter ?? event.target;
  button.disabled = true;
  try {
    const keeps = await work();
    if (keeps === KEEP) return;
    $('quote').hidden = true;
    tell('good', say('payouts_done'));
    await changed();
  } catch (error) {
    tell('bad', fault(error));
  } finally {
    button.disabled = false;
  }
}

/** Said by work that has changed nothing at the relay. */
const KEEP = Symbol('keep');

function save() {
  const threshold = $('threshold').value.trim();
  return wantJson('set_method', {
    method: $('way').value,
    destination: $('destination').value.trim(),
    schedule: $('schedule').value,
    ...(threshold && { threshold }),
  });
}

async function ask() {
  const { quote } = await wantJson('payout', { amount: $('amount').value.trim() });
  show(quote);
  return KEEP;
}

function show(quote) {
  // One name for one decision: asking again after a lost answer makes no second payout.
  quoted = { ...quote, once: crypto.randomUUID() };
  const moves = say('payouts_quoted', usd(quote.amount), usd(quote.cost), usd(quote.arrives), quote.destination);
  write($('quote-text'), quote.ready ? moves : `${moves} ${say('payouts_quoted_waits')}`);
  $('quote').hidden = false;
  tell('', '');
}

async function accept() {
  const { amount, cost, once } = quoted;
  const { quote } = await wantJson('payout', { amount, accept: cost, once });
  if (!quote) return undefined;
  show(quote);
  tell('bad', say('payouts_cost_changed'));
  return KEEP;
}

function tell(tone, text) {
  $('payouts-notice').dataset.tone = tone;
  write($('payouts-notice'), text);
}

/** Offers the last twelve months. */
function months() {
  const now = new Date();
  const names = Array.from({ length: 12 }, (_, back) => new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - back, 1)).toISOString().slice(0, 7));
  const named = (name) => new Date(`${name}-01T00:00:00Z`).toLocaleDateString(language, { timeZone: 'UTC', month: 'long', year: 'numeric' });
  $('month').replaceChildren(...names.map((name) => Object.assign(make('option', '', named(name)), { value: name })));
}

async function download(csv) {
  const month = $('month').value;
  const { status, body } = await want('statement', { month, csv });
  if (status !== 200) return write($('statement-notice'), say('statements_unread'));
  const link = make('a');
  link.href = URL.createObjectURL(new Blob([body], { type: csv ? 'text/csv' : 'application/json' }));
  link.download = `rekursing-${month}.${csv ? 'csv' : 'json'}`;
  link.click();
  URL.revokeObjectURL(link.href);
  return write($('statement-notice'), say('statements_saved', link.download));
}
