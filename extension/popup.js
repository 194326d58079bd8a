// Paints the agent's state and passes on what the owner clicks.

import { asked, date, draw, gpuName, isNothing, lastDays, make, seconds, thousands, usd, utcDay, write, writeUsd } from './figures.js';
import { tell, watch } from './line.js';
import { hintOf, remedy, remedyOf, serverPlace, standing, steered, words } from './standing.js';
import { list, say, sayMany, sentence } from './words.js';

const $ = (id) => document.getElementById(id);

let latest;

watch(paint);
paintNotices();
$('settings').addEventListener('click', () => chrome.runtime.openOptionsPage());
$('agree').addEventListener('change', (event) => {
  chrome.storage.local.set({ consent: { given: event.target.checked, at: Date.now() } });
});
$('taking').addEventListener('change', (event) => pause(event.target.checked ? 'none' : 'said'));
$('pause-hour').addEventListener('click', () => pause('hour'));
$('pause-day').addEventListener('click', () => pause('tomorrow'));
$('pause-on').addEventListener('click', () => pause('said'));
$('remedy-button').addEventListener('click', (event) => remedy(event.target.dataset.act, tell, latest));
$('notices').addEventListener('change', () => {
  const boxes = [...$('notices').querySelectorAll('input')];
  chrome.storage.local.set({ notices: Object.fromEntries(boxes.map((box) => [box.name, box.checked])) });
});

function pause(rest) {
  tell('pause', { rest });
  // The buttons go away with the pause, and the keyboard must not be left nowhere.
  $('taking').focus();
}

function paint(state) {
  latest = state;
  paintStatus(state);
  $('agree').checked = state.consent;
  $('offered').hidden = !state.consent;
  // Who said yes by the keyboard goes on at the next switch and not at the top of the page.
  if (state.consent && document.activeElement === $('agree')) $('taking').focus();
  $('consent').hidden = state.consent;
  $('here').hidden = !state.consent;
  $('notices').hidden = !state.consent;
  $('taking').checked = !state.paused;
  $('pauses').hidden = state.paused;
  write($('steered'), steered(state));
  $('steered').hidden = !state.steered;
  paintEarnings(state.earnings);
  paintOutlook(state.outlook ?? []);
  paintMachine(state);
  $('jobs-none').hidden = state.jobs.length > 0;
  paintRows($('jobs'), state.jobs, (job) => [
    job.model,
    // A rate over the first few tokens swings too far to be read.
    job.tokens < 5 ? '' : say('tokens_per_second', job.tokensPerSecond),
    worked(job),
  ]);
  $('offers').hidden = state.models.length === 0;
  paintRows($('models'), state.models, (model) => [
    model.model,
    model.tokensPerSecond === null ? '' : say('tokens_per_second', model.tokensPerSecond),
    [
      model.quantization,
      say('model_context', thousands(model.context)),
      say('model_slots', model.slots),
      model.loaded === false && say('model_on_demand'),
      asked(model.pricing),
    ].filter(Boolean).join(' · '),
  ]);
  document.body.dataset.painted ??= performance.now();
}

/** Says how far a job is. */
function worked({ tokens, ageMs }) {
  const age = seconds(Math.round(ageMs / 1000));
  return tokens === 0 ? say('popup_job_reading', age) : sayMany('popup_job_tokens', tokens, age);
}

function paintStatus(state) {
  const stands = standing(state);
  const { title, text } = words(stands);
  $('status').dataset.tone = stands.tone;
  write($('title'), title);
  write($('remedy'), text);
  const { label, act } = remedyOf(state.consent ? stands.code : '');
  write($('remedy-button'), label);
  $('remedy-button').dataset.act = act;
  $('remedy-button').hidden = !act;
}

function paintEarnings(earnings) {
  for (const span of ['today', 'week', 'total']) {
    if (earnings) writeUsd($(`earned-${span}`), earnings[span]);
    else write($(`earned-${span}`), '–');
    $(`earned-${span}`).dataset.usd = earnings?.[span] ?? '';
  }
  paintSpark(earnings?.days ?? []);
  const held = earnings && !isNothing(earnings.held);
  $('held').hidden = !held;
  if (!held) return;
  const amount = usd(earnings.held);
  const until = earnings.heldUntil;
  write($('held'), until ? say('popup_held_until', amount, date(until)) : say('popup_held', amount));
}

/** Draws a bar for each of the last seven days. */
function paintSpark(days) {
  const most = Math.max(...days.map(Number));
  $('spark').toggleAttribute('hidden', !(most > 0));
  if (!(most > 0) || $('spark').dataset.days === days.join()) return;
  $('spark').dataset.days = days.join();
  const width = 352 / days.length;
  const bars = days.map((amount, at) => {
    const height = isNothing(amount) ? 1 : Math.max(3, (Number(amount) / most) * 44);
    const name = at === days.length - 1 ? 'bar today' : 'bar';
    return draw('rect', { class: name, x: at * width + 3, y: 44 - height, width: width - 6, height, rx: Math.min(3, height / 2) });
  });
  $('spark').replaceChildren(...bars);
  const names = lastDays(days.length).map((day, at) => `${utcDay(day)} ${usd(days[at])}`);
  $('spark').setAttribute('aria-label', say('popup_spark', list(names)));
}

function paintOutlook(hints) {
  $('why').hidden = hints.length === 0;
  if ($('outlook').dataset.hints === JSON.stringify(hints)) return;
  $('outlook').dataset.hints = JSON.stringify(hints);
  const items = hints.map((hint) => {
    const item = make('li', '', sentence(hint, 'hint'));
    const { label, act } = hintOf(hint.code);
    if (!act) return item;
    const button = Object.assign(make('button', '', label), { type: 'button' });
    button.addEventListener('click', () => remedy(act, tell, latest, hint.model));
    item.append(' ', button);
    return item;
  });
  $('outlook').replaceChildren(...items);
}

function paintMachine({ gpu, server, servers, browser }) {
  write($('gpu'), gpuName(gpu));
  $('gpu').title = gpu.raw;
  const found = [...(servers ?? [server]), browser && { ...browser, kind: 'browser' }].filter((one) => one?.address);
  write($('server-name'), say(found.length > 1 ? 'servers' : 'server'));
  write($('server'), found.length === 0 ? say('server_none') : '');
  paintRows($('servers'), found, (server) => [
    serverPlace(server), '', busy(server),
  ]);
}

/** Says what a server works on and what waits there, or why it is of no use. */
function busy({ reason, running = 0, slots = 0, waiting, foreign }) {
  if (reason) return sentence(reason, 'why');
  const parts = [say('server_busy', running, slots)];
  if (foreign) parts.push(say('server_own', foreign));
  if (waiting !== null && waiting !== undefined) parts.push(say('server_waiting', waiting));
  return parts.join(' · ');
}

async function paintNotices() {
  const { notices = {} } = await chrome.storage.local.get('notices');
  for (const box of $('notices').querySelectorAll('input')) box.checked = notices[box.name] !== false;
}

/** Paints a row for each item: name, figure at the right, detail below. Rows are kept and reused. */
function paintRows(list, items, texts) {
  while (list.children.length > items.length) list.lastChild.remove();
  while (list.children.length < items.length) {
    const row = document.createElement('li');
    for (const part of ['name', 'figure', 'detail quiet']) {
      row.appendChild(document.createElement('span')).className = part;
    }
    list.append(row);
  }
  items.forEach((item, at) => texts(item).forEach((text, part) => write(list.children[at].children[part], text)));
}
