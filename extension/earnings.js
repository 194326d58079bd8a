// Shows what the relay's ledger says was earned: balances, days, models and jobs with their receipts.

import init, { estimate, verdict } from './pkg/agent.js';
import { showDisputes } from './disputes.js';
import { date, draw, fault, isNothing, lastDays, make, micros, moment, usd, utcDay, write, writeUsd } from './figures.js';
import { wantJson, watch } from './line.js';
import { showPayouts } from './payouts.js';
import { list, number, say, sayMany, sentence } from './words.js';

const $ = (id) => document.getElementById(id);

const VERDICTS = {
  holds: ['good', 'receipt_holds'],
  broken: ['bad', 'receipt_broken'],
  unknown_key: ['bad', 'receipt_unknown_key'],
  unreadable: ['bad', 'receipt_unreadable'],
};

let plugin;
let loaded;

watch(({ plugin: now, consent }) => {
  if (plugin === now && loaded) return;
  plugin = now;
  if (now) load();
  else notice('idle', say(consent ? 'earnings_unknown' : 'earnings_undecided'));
});
$('again').addEventListener('click', load);
$('retry').addEventListener('click', load);
$('spans').addEventListener('change', () => {
  paintDays();
  paintNet();
});
$('day').addEventListener('input', read);
$('bars').addEventListener('pointermove', ({ offsetX }) => {
  $('day').value = Math.floor((offsetX / $('bars').clientWidth) * (Number($('day').max) + 1));
  read();
});

async function load() {
  if (!loaded) notice('busy', say('earnings_asking'));
  try {
    loaded = await wantJson('earnings');
  } catch (error) {
    return notice('bad', fault(error), true);
  }
  $('notice').hidden = true;
  $('all').hidden = false;
  paint();
  await paintNet();
  await Promise.all([showDisputes(), showPayouts(load)]);
}

function notice(tone, text, again = false) {
  $('notice').hidden = false;
  $('notice').dataset.tone = tone;
  write($('notice-text'), text);
  $('retry').hidden = !again;
  document.body.dataset.painted ??= performance.now();
}

function paint() {
  const { available, held, disputed = '0', inPayout, paid, total, releases, jobs } = loaded;
  for (const [id, amount] of Object.entries({ available, held, disputed, 'in-payout': inPayout, paid, total })) {
    $(id).dataset.usd = amount;
    writeUsd($(id), amount);
  }
  $('disputed-shown').hidden = isNothing(disputed);
  const sentences = releases.map(({ at, amount }) => make('li', '', say('earnings_release', usd(amount), date(at))));
  $('releases').replaceChildren(...sentences);
  for (const id of ['chart', 'by-model', 'jobs']) $(id).hidden = jobs === 0;
  $('empty').hidden = jobs > 0;
  paintDays();
  $('models').replaceChildren(...loaded.models.map(modelRow));
  $('recent').replaceChildren(...loaded.recent.map(jobRow));
}

/** Says what is left after power, which is an estimate; the agent's wasm works it out. */
async function paintNet() {
  await init({ module_or_path: 'pkg/agent_bg.wasm' });
  const stored = JSON.stringify(await chrome.storage.local.get(['config', 'memory']));
  const net = JSON.parse(estimate(stored, JSON.stringify(loaded)));
  $('net').hidden = !net || loaded.jobs === 0;
  if (!net) return;
  // An estimate has no more digits than it is worth.
  const about = (amount) => usd(Number(amount).toFixed(2));
  const shown = days().reduce((sum, { day }) => sum + Number(net.days[day] ?? 0), 0);
  const parts = [say('earnings_net', about(net.cost), about(shown), about(net.net))];
  if (net.unknown.length > 0) parts.push(say('earnings_net_unknown', list(net.unknown)));
  write($('net'), parts.join(' '));
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
  const text = sayMany('earnings_reading', jobs, utcDay(day, { dateStyle: 'medium' }), usd(earned));
  write($('reading'), text);
  $('day').setAttribute('aria-valuetext', text);
  [...$('bars').children].forEach((bar, index) => bar.classList.toggle('chosen', index === at));
}

function tableRow(name, { jobs, promptTokens, answerTokens, earned }) {
  const row = make('tr');
  row.append(Object.assign(make('th', '', name), { scope: 'row' }));
  for (const figure of [jobs, promptTokens, answerTokens]) row.append(make('td', '', number(figure)));
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
  const button = Object.assign(make('button', '', say('earnings_show')), { type: 'button' });
  button.setAttribute('aria-label', say('earnings_show_receipt', moment(job.at)));
  button.addEventListener('click', () => showReceipt(job.jobId));
  row.append(Object.assign(make('th', '', moment(job.at)), { scope: 'row' }));
  row.append(make('td', '', job.model), make('td', '', `${number(job.promptTokens)} + ${number(job.answerTokens)}`));
  row.append(make('td', '', earnedBy(job)), make('td'));
  row.lastChild.append(button);
  return row;
}

/** Says what a job earned, and whether that is disputed or has gone back. */
function earnedBy({ earned, givenBack = '0', dispute }) {
  if (!isNothing(givenBack)) return say('earnings_given_back', usd(earned));
  const isOpen = dispute === 'opened' || dispute === 'reviewed';
  return isOpen ? say('earnings_in_dispute', usd(earned)) : usd(earned);
}

async function showReceipt(job) {
  $('receipt-fields').replaceChildren();
  judge('busy', say('earnings_asking_receipt'));
  if (!$('receipt').open) $('receipt').showModal();
  try {
    const [receipt, keys] = await Promise.all([
      wantJson('receipt', { job }),
      wantJson('keys'),
      init({ module_or_path: 'pkg/agent_bg.wasm' }),
    ]);
    paintReceipt(receipt);
    const [tone, key] = VERDICTS[verdict(JSON.stringify(receipt), JSON.stringify(keys))];
    judge(tone, say(key));
  } catch (error) {
    judge('bad', fault(error));
  }
}

function judge(tone, text) {
  $('verdict').dataset.tone = tone;
  write($('verdict'), text);
}

function paintReceipt({ jobId, state, paidBy, charge, givenBack, endedAt, settlement: of, signature }) {
  // A word of the relay's, or the word itself where there is no message for it.
  const named = (family, code) => sentence({ code, text: code }, family);
  const price = ({ input, output }) => say('receipt_per_million', micros(input), micros(output));
  const fields = [
    ['receipt_job', jobId],
    ['receipt_state', named('receipt_is', state)],
    ['receipt_ended', endedAt && moment(endedAt)],
    ['earnings_model', of?.model],
    ['receipt_tier', of && (of.tier === of.tierAsked ? named('tier', of.tier) : say('receipt_tier_asked', named('tier', of.tier), named('tier', of.tierAsked)))],
    ['receipt_your_price', of && price(of.ask)],
    ['receipt_tier_price', of && price(of.price)],
    ['earnings_tokens', of && say('receipt_tokens', of.promptTokens, of.answerTokens)],
    ['receipt_paid_by', say(paidBy === 'free' ? 'receipt_paid_free' : 'receipt_paid_account')],
    ['receipt_charge', usd(charge)],
    ['receipt_given_back', givenBack && !isNothing(givenBack) && usd(givenBack)],
    ['receipt_discount', of && !isNothing(of.discount) && usd(of.discount)],
    ['receipt_fee', of && usd(of.fee)],
    ['receipt_you_earned', of && usd(of.earned)],
    ['receipt_held', of && !isNothing(of.heldBack) && say('receipt_held_until', usd(of.heldBack), date(of.releaseAt))],
    ['receipt_key', signature.key],
  ].filter(([, value]) => value);
  $('receipt-fields').replaceChildren(...fields.flatMap(([key, value]) => [make('dt', '', say(key)), make('dd', '', value)]));
}
