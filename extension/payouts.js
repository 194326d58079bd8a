// How an owner is paid, payouts asked for and made, and statements to keep. Costs, bounds and states
// are the relay's: nothing is reckoned here.

import { make, moment, usd, write } from './figures.js';
import { want, wantJson } from './line.js';

const $ = (id) => document.getElementById(id);

const WAYS = {
  paypal: ['PayPal', 'The e-mail address of your PayPal account.'],
  stripe: ['Stripe', 'The id of your connected Stripe account, which begins with acct_.'],
  usdc: ['USDC', 'An address that takes USDC, with its checksum in capital and small letters.'],
};

const STATES = {
  requested: 'Asked for',
  sent: 'On its way',
  confirmed: 'Arrived',
  returned: 'Came back',
  cancelled: 'Taken back',
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
  } catch ({ message }) {
    say('bad', message);
  }
}

function paint({ method, methods: ways, payouts }) {
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
  $('order').hidden = !method;
  hint();
  const cost = method && `A payout of ${usd(method.threshold)} costs ${usd(method.cost)}.`;
  const next = method?.nextAt && ` The next automatic one is at ${moment(method.nextAt)}, if your balance has reached it.`;
  const waits = method && !method.ready && ' The relay has not set this way up yet: payouts wait until it has.';
  write($('method-cost'), [cost, next, waits, method?.note && ` ${method.note}`].filter(Boolean).join(''));
  $('history').hidden = payouts.length === 0;
  $('made').replaceChildren(...payouts.map(row));
}

function hint() {
  const way = methods.find(({ method }) => method === $('way').value);
  $('threshold').placeholder = way?.minimum ?? '';
  const least = way ? ` The least is ${usd(way.minimum)}, of which the payout costs ${usd(way.cost)}.` : '';
  write($('destination-hint'), (WAYS[$('way').value]?.[1] ?? '') + least);
}

function row(payout) {
  const line = make('tr');
  line.append(Object.assign(make('th', '', moment(payout.requestedAt)), { scope: 'row' }));
  line.append(make('td', 'long', `${WAYS[payout.method]?.[0] ?? payout.method}, ${payout.destination}`));
  for (const amount of [payout.amount, payout.cost, payout.arrives]) line.append(make('td', '', usd(amount)));
  const state = make('td', 'long', STATES[payout.state] ?? payout.state);
  if (payout.reason) state.append(make('div', 'quiet', payout.reason));
  if (payout.reference) state.append(make('div', 'quiet', payout.reference));
  if (payout.state === 'requested') {
    const button = Object.assign(make('button', '', 'Take back'), { type: 'button' });
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
    say('good', 'Done.');
    await changed();
  } catch ({ message }) {
    say('bad', message);
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
  const wait = quote.ready ? '' : ' The relay has not set this way up yet, so it waits until then.';
  write($('quote-text'), `${usd(quote.amount)} leaves your balance, ${usd(quote.cost)} is the cost, and ${usd(quote.arrives)} arrives at ${quote.destination}.${wait}`);
  $('quote').hidden = false;
  say('', '');
}

async function accept() {
  const { amount, cost, once } = quoted;
  const { quote } = await wantJson('payout', { amount, accept: cost, once });
  if (!quote) return undefined;
  show(quote);
  say('bad', 'The cost has changed meanwhile. Nothing has moved.');
  return KEEP;
}

function say(tone, text) {
  $('payouts-notice').dataset.tone = tone;
  write($('payouts-notice'), text);
}

/** Offers the last twelve months. */
function months() {
  const now = new Date();
  const names = Array.from({ length: 12 }, (_, back) => new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - back, 1)).toISOString().slice(0, 7));
  $('month').replaceChildren(...names.map((name) => make('option', '', name)));
}

async function download(csv) {
  const month = $('month').value;
  const { status, body } = await want('statement', { month, csv });
  if (status !== 200) return write($('statement-notice'), 'The statement could not be read. Try again.');
  const link = make('a');
  link.href = URL.createObjectURL(new Blob([body], { type: csv ? 'text/csv' : 'application/json' }));
  link.download = `rekursing-${month}.${csv ? 'csv' : 'json'}`;
  link.click();
  URL.revokeObjectURL(link.href);
  return write($('statement-notice'), `${link.download} was saved.`);
}
