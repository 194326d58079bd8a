// Shows the settings as a form and keeps them. What is right and wrong is checked by the agent's wasm.

import init, { check, form } from './pkg/agent.js';

const $ = (id) => document.getElementById(id);
const FIELDS = ['server', 'token', 'slots', 'name', 'relay'];

await init({ module_or_path: 'pkg/agent_bg.wasm' });
await show();
watch();
$('form').addEventListener('submit', save);
$('withdraw').addEventListener('click', () => {
  chrome.storage.local.set({ consent: { given: false, at: Date.now() } });
});
chrome.storage.local.onChanged.addListener(({ consent }) => consent && showConsent(consent.newValue));

async function show() {
  const stored = await chrome.storage.local.get();
  const texts = JSON.parse(form(JSON.stringify(stored)));
  for (const field of FIELDS) $(field).value = texts[field];
  addPrice('', 'Every model', texts.price);
  for (const [model, price] of Object.entries(texts.prices)) addPrice(model, model, price);
  showConsent(stored.consent);
}

function showConsent(consent) {
  $('given').hidden = !consent?.given;
  if (consent?.given) $('given-at').textContent = `You agreed on ${new Date(consent.at).toLocaleString()}.`;
}

/** Adds a row for each model that the agent finds. */
async function watch() {
  await chrome.runtime.sendMessage({ type: 'wake' });
  const port = chrome.runtime.connect({ name: 'state' });
  port.onMessage.addListener(({ models }) => {
    for (const { model } of models) if (!row(model)) addPrice(model, model, { input: '', output: '' });
  });
  port.onDisconnect.addListener(() => setTimeout(watch, 500));
}

function rows() {
  return [...$('prices').querySelectorAll('tr[data-model]')];
}

function row(model) {
  return rows().find((row) => row.dataset.model === model);
}

function addPrice(model, name, price) {
  const line = document.createElement('tr');
  line.dataset.model = model;
  const head = line.appendChild(document.createElement('th'));
  head.scope = 'row';
  for (const side of ['input', 'output']) {
    const input = line.appendChild(document.createElement('td')).appendChild(document.createElement('input'));
    input.dataset.side = side;
    input.inputMode = 'decimal';
    input.autocomplete = 'off';
    input.placeholder = model ? 'as above' : 'relay’s';
    input.value = price[side];
  }
  label(line, name);
  const wrong = document.createElement('tr');
  const error = wrong.appendChild(document.createElement('td'));
  error.className = 'error';
  error.colSpan = 3;
  $('prices').append(line, wrong);
  label(row(''), rows().length > 1 ? 'Every other model' : 'Every model');
}

function label(row, name) {
  row.querySelector('th').textContent = name;
  for (const input of row.querySelectorAll('input')) {
    const what = input.dataset.side === 'input' ? 'prompts' : 'answers';
    input.setAttribute('aria-label', `${name}: dollars per million tokens of ${what}`);
  }
}

function written() {
  const prices = Object.fromEntries(rows().map((row) => [row.dataset.model, price(row)]));
  const { '': other, ...single } = prices;
  return { ...Object.fromEntries(FIELDS.map((field) => [field, $(field).value])), price: other, prices: single };
}

function price(row) {
  return Object.fromEntries([...row.querySelectorAll('input')].map((input) => [input.dataset.side, input.value]));
}

async function save(event) {
  event.preventDefault();
  const { config, origins, errors } = JSON.parse(check(JSON.stringify(written())));
  mark(errors);
  if (!config) return say('bad', 'Nothing was saved: see the fields marked above.');
  // Chrome asks the owner only while the click is fresh, so nothing is awaited before this.
  const allowed = origins.length === 0 || (await chrome.permissions.request({ origins }));
  if (!allowed) return say('bad', 'Nothing was saved: without your permission this address cannot be reached.');
  await chrome.storage.local.set({ config });
  say('good', 'Saved.');
}

function mark(errors) {
  for (const field of FIELDS) {
    $(field).setAttribute('aria-invalid', field in errors);
    if ($(`${field}-error`)) $(`${field}-error`).textContent = errors[field] ?? '';
  }
  for (const row of rows()) {
    const sentence = errors[row.dataset.model ? `price:${row.dataset.model}` : 'price'] ?? '';
    for (const input of row.querySelectorAll('input')) input.setAttribute('aria-invalid', sentence !== '');
    row.nextSibling.firstChild.textContent = sentence;
  }
  document.querySelector('[aria-invalid="true"]')?.focus();
}

function say(tone, sentence) {
  $('outcome').dataset.tone = tone;
  $('outcome').textContent = sentence;
}
