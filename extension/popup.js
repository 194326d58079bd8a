// Paints the agent's state and passes on what the owner clicks.

import { count, date, draw, isNothing, lastDays, micros, thousands, usd, utcDay, write, writeUsd } from './figures.js';
import { tell, watch } from './line.js';
import { REMEDIES, SERVERS, remedy, standing } from './standing.js';

const $ = (id) => document.getElementById(id);

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
$('remedy-button').addEventListener('click', (event) => remedy(event.target.dataset.act, tell));
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
  paintEarnings(state.earnings);
  paintOutlook(state.outlook ?? []);
  paintMachine(state);
  $('jobs-none').hidden = state.jobs.length > 0;
  paintRows($('jobs'), state.jobs, (job) => [
    job.model,
    // A rate over the first few tokens swings too far to be read.
    job.tokens < 5 ? '' : `${job.tokensPerSecond} tokens/s`,
    `${job.tokens === 0 ? 'Reading the prompt for' : `${count(job.tokens, 'token')} in`} ${count(Math.round(job.ageMs / 1000), 'second')}`,
  ]);
  $('offers').hidden = state.models.length === 0;
  paintRows($('models'), state.models, (model) => [
    model.model,
    model.tokensPerSecond === null ? '' : `${model.tokensPerSecond} tokens/s`,
    [
      model.quantization,
      `${thousands(model.context)} context`,
      `${model.slots} at once`,
      asked(model.pricing),
    ].filter(Boolean).join(' · '),
  ]);
  document.body.dataset.painted ??= performance.now();
}

function paintStatus(state) {
  const { tone, title, text, code } = standing(state);
  $('status').dataset.tone = tone;
  write($('title'), title);
  write($('remedy'), text);
  const [label, act] = (state.consent && REMEDIES[code]) || ['', ''];
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
  const until = earnings.heldUntil ? `until you are trusted, at the latest until ${date(earnings.heldUntil)}` : 'until you are trusted';
  write($('held'), `${usd(earnings.held)} of it is held back ${until}.`);
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
  $('spark').setAttribute('aria-label', `Earned in the last seven days: ${names.join(', ')}`);
}

function paintOutlook(sentences) {
  $('why').hidden = sentences.length === 0;
  if ($('outlook').dataset.texts === JSON.stringify(sentences)) return;
  $('outlook').dataset.texts = JSON.stringify(sentences);
  const items = sentences.map(({ text }) => Object.assign(document.createElement('li'), { textContent: text }));
  $('outlook').replaceChildren(...items);
}

function paintMachine({ gpu, server }) {
  const name = [gpu.vendor, gpu.model].filter(Boolean).join(' ') || 'Not recognised';
  write($('gpu'), gpu.class === 'software' ? `${name} (software, no GPU)` : name);
  $('gpu').title = gpu.raw;
  const found = server.address && `${SERVERS[server.kind] ?? 'Model server'} at ${server.address.replace('http://', '')}`;
  write($('server'), found ?? 'None');
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

/** Says how a model is priced. */
function asked(pricing) {
  if (!pricing) return 'relay’s price';
  if (pricing.per_hour) return `${usd(pricing.per_hour)} an hour`;
  const { input, output } = pricing.floor ?? pricing;
  return `${pricing.floor ? 'market, at least ' : ''}${micros(input)} / ${micros(output)} per 1M`;
}
