// Shows the settings as a form and keeps them. What is right and wrong is checked by the agent's wasm.

import init, { check, form } from './pkg/agent.js';
import { browser } from './pkg/parts.js';
import * as account from './account.js';
import * as archive from './archive.js';
import * as days from './days.js';
import * as group from './group.js';
import * as phones from './phones.js';
import * as prices from './prices.js';
import * as servers from './servers.js';
import { moment, write } from './figures.js';
import * as line from './line.js';
import { release } from './permissions.js';
import { say, sentence } from './words.js';

const $ = (id) => document.getElementById(id);
const fields = () => document.querySelectorAll('[data-path]');

await init({ module_or_path: 'pkg/agent_bg.wasm' });
$('in-browser').hidden = !browser;
await show();
account.listen();
archive.listen();
watch();
$('form').addEventListener('submit', save);
$('form').addEventListener('change', open);
$('add-server').addEventListener('click', () => servers.add({ address: '', token: '' }).focus());
$('withdraw').addEventListener('click', () => {
  chrome.storage.local.set({ consent: { given: false, at: Date.now() } });
});
chrome.storage.local.onChanged.addListener(({ consent }) => consent && showConsent(consent.newValue));

async function show() {
  const stored = await chrome.storage.local.get();
  const texts = JSON.parse(form(JSON.stringify(stored)));
  for (const field of fields()) {
    const value = field.dataset.path.split('.').reduce((part, key) => part[key], texts);
    if (field.type === 'checkbox') field.checked = value;
    else field.value = value;
  }
  servers.show(texts.servers);
  days.show(texts.when.days);
  prices.show(texts);
  open();
  showConsent(stored.consent);
}

/** Shows what belongs to a box while it is ticked. */
function open() {
  for (const box of document.querySelectorAll('[data-opens]')) $(box.dataset.opens).hidden = !box.checked;
  $('dollars-more').hidden = ['', 'USD'].includes($('currency').value.trim().toUpperCase());
}

function showConsent(consent) {
  $('given').hidden = !consent?.given;
  $('now').hidden = !consent?.given;
  if (consent?.given) $('given-at').textContent = say('options_agreed', moment(consent.at));
}

/** Follows the agent: how things stand, what the servers say, which models there are. */
function watch() {
  line.watch(paint);
  for (const button of document.querySelectorAll('[data-rest]')) {
    button.onclick = () => line.tell('pause', { rest: button.dataset.rest });
  }
  servers.ask((type, fields) => line.tell(type, fields));
}

function paint(state) {
  servers.paint(state);
  prices.paint(state);
  group.paint(state);
  phones.paint(state);
  write($('standing'), state.closed ? sentence(state.closed.reason, 'why') : say('options_taking'));
  $('pauses').hidden = state.paused;
  $('resume').hidden = !state.paused;
  const [hour, day, month] = ['hour', 'day', 'month'].map((id) => $(id).value);
  write($('hour-done'), hour && say('options_hour_done', state.done.hourTokens));
  write($('day-done'), day && say('options_day_done', state.done.dayTokens));
  write($('month-done'), month && say('options_month_done', (state.done.monthBytes ?? 0) / 1e9));
  const own = document.querySelector('[data-path="when.ownUseFirst"]').checked;
  const silent = state.servers.some(({ kind }) => kind?.startsWith('lm_studio'));
  write($('own-warning'), own && silent ? say('options_own_use_silent') : '');
  document.body.dataset.painted ??= performance.now();
}

function written() {
  const texts = { power: {}, when: {}, limits: {}, models: {}, loading: {}, refuses: {} };
  for (const field of fields()) {
    const path = field.dataset.path.split('.');
    const key = path.pop();
    const part = path.reduce((part, key) => part[key], texts);
    part[key] = field.type === 'checkbox' ? field.checked : field.value;
  }
  texts.servers = servers.written();
  texts.when.days = days.written();
  const { price, prices: single, said } = prices.written();
  texts.models.said = said;
  return { ...texts, price, prices: single };
}

async function save(event) {
  event.preventDefault();
  const { config, origins, errors } = JSON.parse(check(JSON.stringify(written())));
  mark(errors);
  if (!config) return tell('bad', say('options_unsaved'));
  // Chrome asks the owner only while the click is fresh, so nothing is awaited before this.
  const allowed = origins.length === 0 || (await chrome.permissions.request({ origins }));
  if (!allowed) return tell('bad', say('options_unsaved_permission'));
  await chrome.storage.local.set({ config });
  await release(origins);
  servers.saved();
  tell('good', say('options_saved'));
}

/** Puts each sentence below its field, and goes to the first that is wrong. */
function mark(errors) {
  for (const field of document.querySelectorAll('[data-field]')) {
    field.setAttribute('aria-invalid', field.dataset.field in errors);
  }
  for (const place of document.querySelectorAll('[data-error]')) {
    place.textContent = sentence(errors[place.dataset.error]);
  }
  [...document.querySelectorAll('[aria-invalid="true"]')].find((field) => field.offsetParent)?.focus();
}

function tell(tone, text) {
  $('outcome').dataset.tone = tone;
  $('outcome').textContent = text;
}
