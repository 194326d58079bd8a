// Shows what the relay's ledger says was earned: balances, days, models and jobs with their receipts.

import init, { verdict } from './pkg/agent.js';
import { date, draw, isNothing, lastDays, make, micros, moment, usd, utcDay, write, writeUsd } from './figures.js';
import { wantJson, watch } from './line.js';
import { showPayouts } from './payouts.js';

const $ = (id) => document.getElementById(id);

const VERDICTS = {
  holds: ['good', '✓ The signature holds: the relay signed exactly these figures.'],
  broken: ['bad', '✗ The signature does not hold: these are not the figures that the relay signed.'],
  unknown_key: ['bad', '✗ It is signed by a key that the relay does not name.'],
  unreadable: ['bad', '✗ The signature cannot be checked.'],
};

let plugin;
let loaded;

watch(({ plugin: now, consent }) => {
  if (plugin === now && loaded) return;
  plugin = now;
  if (now) load();
  else notice('idle', consent ? 'The relay does not know this extension yet. Your earnings show here when it is connected.' : 'You have not offered your models yet, so there is nothing to show.');
});
$('again').addEventListener('click', load);
$('retry').addEventListener('click', load);
$('spans').addEventListener('change', paintDays);
$('day').addEventListener('input', read);
$('bars').addEventListener('pointermove', ({ offsetX }) => {
  $('day').value = Math.floor((offsetX / $('bars').clientWidth) * (Number($('day').max) + 1));
  read();
});

async function load() {
  if (!loaded) notice('busy', 'Asking the relay for your earnings.');
  try {
    loaded = await wantJson('earnings');
  } catch ({ message }) {
    return notice('bad', message, true);
  }
  $('notice').hidden = true;
  $('all').hidden = false;
  paint();
  await showPayouts(load);
}

function notice(tone, text, again = false) {
  $('notice').hidden = false;
  $('notice').dataset.tone = tone;
  write($('notice-text'), text);
  $('retry').hidden = !again;
  document.body.dataset.painted ??= performance.now();
}

function paint() {
  const { available, held, inPayout, paid, total, releases, jobs } = loaded;
  for (const [id, amount] of Object.entries({ available, held, 'in-payout': inPayout, paid, total })) {
    $(id).dataset.usd = amount;
    writeUsd($(id), amount);
  }
  const sentences = releases.map(({ at, amount }) => make('li', '', `${usd(amount)} is available at the latest on ${date(at)}.`));
  $('releases').replaceChildren(...sentences);
  for (const id of ['chart', 'by-model', 'jobs']) $(id).hidden = jobs === 0;
  $('empty').hidden = jobs > 0;
  paintDays();
  $('models').replaceChildren(...loaded.models.map(modelRow));
  $('recent').replaceChildren(...loaded.recent.map(jobRow));
}

/** The days that are shown, those without a job too. */
function days() {
  const many = Number($('spans').querySelector('input:checked').value);
  const known = new Map(loaded.days.map((row) => [row.day, row]));
  return lastDays(many).map((day) => known.get(day) ?? { day, jobs: 0, promptTokens: 0, answerTokens: 0, earned: '0' });
}

function paintDays() {
  const rows = days();
  const most = Math.max(...rows.map((row) => Number(row.earned)), Number.MIN_VALUE);
  const width = 800 / rows.length;
  const bars = rows.map(({ earned }, at) => {
    const height = isNothing(earned) ? 1 : Math.max(3, (Number(earned) / most) * 140);
    return draw('rect', { class: 'bar', x: at * width + width * 0.1, y: 140 - height, width: width * 0.8, height });
  });
  $('bars').replaceChildren(...bars);
  $('day').max = rows.length - 1;
  $('day').value = rows.length - 1;
  read();
  const worked = rows.filter(({ jobs }) => jobs > 0).reverse();
  $('days').replaceChildren(...worked.map((row) => tableRow(utcDay(row.day, { dateStyle: 'medium' }), row)));
}

/** Says what the chosen day earned. */
function read() {
  const at = Number($('day').value);
  const { day, jobs, earned } = days()[at];
  const text = `${utcDay(day, { dateStyle: 'medium' })}: ${usd(earned)}, ${jobs} job${jobs === 1 ? '' : 's'}`;
  write($('reading'), text);
  $('day').setAttribute('aria-valuetext', text);
  [...$('bars').children].forEach((bar, index) => bar.classList.toggle('chosen', index === at));
}

function tableRow(name, { jobs, promptTokens, answerTokens, earned }) {
  const row = make('tr');
  row.append(Object.assign(make('th', '', name), { scope: 'row' }));
  for (const number of [jobs, promptTokens, answerTokens]) row.append(make('td', '', number.toLocaleString()));
  row.append(make('td', '', usd(earned)));
  return row;
}

/** A model's row has a bar behind its name, as long as its share of what the best one earned. */
function modelRow(model) {
  const row = tableRow(model.model, model);
  const share = Number(model.earned) / Math.max(Number(loaded.models[0].earned), Number.MIN_VALUE);
  const bar = draw('svg', { class: 'share', viewBox: '0 0 100 4', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  bar.append(draw('rect', { class: 'bar chosen', width: share * 100, height: 4 }));
  row.firstChild.append(bar);
  return row;
}

function jobRow(job) {
  const row = make('tr');
  const button = Object.assign(make('button', '', 'Show'), { type: 'button' });
  button.setAttribute('aria-label', `Show the receipt of ${moment(job.at)}`);
  button.addEventListener('click', () => showReceipt(job.jobId));
  row.append(Object.assign(make('th', '', moment(job.at)), { scope: 'row' }));
  row.append(make('td', '', job.model), make('td', '', `${job.promptTokens.toLocaleString()} + ${job.answerTokens.toLocaleString()}`));
  row.append(make('td', '', usd(job.earned)), make('td'));
  row.lastChild.append(button);
  return row;
}

async function showReceipt(job) {
  $('receipt-fields').replaceChildren();
  judge('busy', 'Asking the relay for the receipt.');
  if (!$('receipt').open) $('receipt').showModal();
  try {
    const [receipt, keys] = await Promise.all([
      wantJson('receipt', { job }),
      wantJson('keys'),
      init({ module_or_path: 'pkg/agent_bg.wasm' }),
    ]);
    paintReceipt(receipt);
    judge(...VERDICTS[verdict(JSON.stringify(receipt), JSON.stringify(keys))]);
  } catch ({ message }) {
    judge('bad', message);
  }
}

function judge(tone, text) {
  $('verdict').dataset.tone = tone;
  write($('verdict'), text);
}

function paintReceipt({ jobId, state, paidBy, charge, endedAt, settlement: of, signature }) {
  const price = ({ input, output }) => `${micros(input)} / ${micros(output)} per 1M tokens`;
  const fields = [
    ['Job', jobId],
    ['State', state],
    ['Ended', endedAt && moment(endedAt)],
    ['Model', of?.model],
    ['Tier', of && (of.tier === of.tierAsked ? of.tier : `${of.tier}, ${of.tierAsked} was asked for`)],
    ['Your price', of && price(of.ask)],
    ['Price after the tier', of && price(of.price)],
    ['Tokens', of && `${of.promptTokens.toLocaleString()} prompt, ${of.answerTokens.toLocaleString()} answer`],
    ['Paid by', paidBy === 'free' ? 'the budget for free answers' : 'an account'],
    ['Charge', usd(charge)],
    ['Discount', of && !isNothing(of.discount) && usd(of.discount)],
    ['Fee', of && usd(of.fee)],
    ['You earned', of && usd(of.earned)],
    ['Held back of it', of && !isNothing(of.heldBack) && `${usd(of.heldBack)}, until ${date(of.releaseAt)} at the latest`],
    ['Signed with key', signature.key],
  ].filter(([, value]) => value);
  $('receipt-fields').replaceChildren(...fields.flatMap(([name, value]) => [make('dt', '', name), make('dd', '', value)]));
}
