// The list of model servers: a row for each, with what the agent says of it.

import { write } from './figures.js';
import { remedy, remedyOf, serverName } from './standing.js';
import { list as names, say, sentence } from './words.js';

const list = document.getElementById('servers');
const rows = () => [...list.children];

let seen = [];
let agreed = false;
/** Tells the agent something. */
let tell = () => {};
/** The row that is being tested, with when its server was looked at before. */
let testing;

export function show(servers) {
  list.replaceChildren();
  servers.forEach(add);
  saved();
}

/** Adds a row and returns its first field. */
export function add({ address, token }) {
  const row = document.getElementById('server-row').content.cloneNode(true).firstElementChild;
  list.append(row);
  row.querySelector('.address').value = address;
  row.querySelector('.token').value = token;
  row.querySelector('.address').addEventListener('input', paintRows);
  row.querySelector('.token').addEventListener('input', paintRows);
  row.querySelector('.test').addEventListener('click', () => test(row));
  row.querySelector('.allow').addEventListener('click', () => remedy('allow', tell, { servers: [server(row)] }));
  row.querySelector('.remove').addEventListener('click', () => {
    row.remove();
    if (rows().length === 0) add({ address: '', token: '' });
    number();
    list.querySelector('.address').focus();
  });
  number();
  return row.querySelector('.address');
}

/** Gives every row the names by which labels and errors find it. */
function number() {
  rows().forEach((row, at) => {
    const names = [row.querySelector('.address'), row.querySelector('.token')];
    const labels = row.querySelectorAll('label');
    const ids = [at === 0 ? 'server' : `server-${at}`, at === 0 ? 'token' : `token-${at}`];
    names.forEach((field, side) => {
      field.id = ids[side];
      labels[side].htmlFor = ids[side];
    });
    row.querySelector('.error').id = `server-error-${at}`;
    row.querySelector('.error').dataset.error = `server:${at}`;
    names[0].dataset.field = `server:${at}`;
    names[0].setAttribute('aria-describedby', `server-error-${at}`);
    row.querySelector('.test').setAttribute('aria-label', say('options_test_server', at + 1));
    row.querySelector('.remove').setAttribute('aria-label', say('options_remove_server', at + 1));
    row.querySelector('.remove').hidden = rows().length === 1;
  });
  paintRows();
}

export function written() {
  return rows().map((row) => ({
    address: row.querySelector('.address').value,
    token: row.querySelector('.token').value,
  }));
}

/** Notes that what is written is what the agent was told. */
export function saved() {
  for (const row of rows()) row.dataset.saved = row.querySelector('.address').value;
  paintRows();
}

/** Says how the agent is told something. */
export function ask(how) {
  tell = how;
}

function test(row) {
  // Before the owner has agreed nobody is asked anything.
  if (!agreed || !server(row)) return;
  testing = { row, before: server(row)?.lookedAt };
  tell('probe');
  paintRows();
}

/** Returns what the agent says of a row's server. */
function server(row) {
  const address = row.querySelector('.address').value;
  return address === '' ? seen[0] : seen.find((server) => server.address === origin(address));
}

export function paint({ servers, consent }) {
  seen = servers;
  agreed = consent;
  if (testing && server(testing.row)?.lookedAt !== testing.before) testing = undefined;
  paintRows();
}

/** Writes the address of the server that wants a token beside it: the owner sees to whom it will go. */
function bind() {
  const [row, ...others] = rows();
  const [address, token] = [row.querySelector('.address'), row.querySelector('.token')];
  if (others.length > 0 || address.value !== '' || token.value.trim() === '' || document.activeElement === address) return;
  if (server(row)?.reason?.code === 'token_wanted') address.value = server(row).address;
}

function paintRows() {
  bind();
  const blank = rows().every((row) => row.querySelector('.address').value.trim() === '');
  for (const row of rows()) {
    const [tone, text] = health(row, blank);
    const place = row.querySelector('.health');
    place.dataset.tone = tone;
    write(place, text);
    const found = row.dataset.saved === row.querySelector('.address').value ? server(row) : undefined;
    const { label, act } = remedyOf(found?.reason?.code);
    row.querySelector('.allow').hidden = act !== 'allow';
    if (act === 'allow') write(row.querySelector('.allow'), label);
    paintMemory(row, found);
  }
}

/** Lists what a server that can be asked has in memory and what not, each with the button that changes it. */
function paintMemory(row, found) {
  const { address, loads = false, models = [], asleep = [], moving, unmoved } = found ?? {};
  const items = loads ? [...models.map((model) => [model, 'unload']), ...asleep.map((model) => [model, 'load'])] : [];
  const place = row.querySelector('.memory');
  const text = JSON.stringify([address, items, moving]);
  write(row.querySelector('.unmoved'), sentence(unmoved));
  if (place.dataset.text === text) return;
  place.dataset.text = text;
  place.replaceChildren(...items.map(([model, type]) => {
    const item = document.createElement('li');
    const [name, button] = [document.createElement('span'), document.createElement('button')];
    name.textContent = model;
    Object.assign(button, { type: 'button', disabled: moving === model });
    const [short, long] = type === 'load' ? ['options_load', 'options_load_model'] : ['options_unload', 'options_unload_model'];
    button.textContent = say(moving === model ? 'options_moving' : short);
    button.setAttribute('aria-label', say(long, model));
    button.addEventListener('click', () => tell(type, { address, model }));
    item.append(name, button);
    return item;
  }));
}

function health(row, blank) {
  const address = row.querySelector('.address').value;
  if (row.dataset.saved !== address) return ['idle', say('options_server_unsaved')];
  if (address === '' && !blank) return ['idle', ''];
  if (testing?.row === row) return ['busy', say('options_server_testing')];
  const found = server(row);
  if (!found) return ['idle', say(address === '' ? 'options_server_none' : 'options_server_unasked')];
  if (found.reason) return [found.reason.code === 'looking' ? 'busy' : 'bad', sentence(found.reason, 'why')];
  const [name, models] = [serverName(found.kind), names(found.models)];
  if (found.models.length === 0) return ['good', say('options_server_on_demand', name)];
  return ['good', address === '' ? say('options_server_at_has', name, found.address, models) : say('options_server_has', name, models)];
}

/** Returns an address as the agent writes it. */
function origin(text) {
  try {
    return new URL(text.trim()).origin;
  } catch {
    return text;
  }
}
