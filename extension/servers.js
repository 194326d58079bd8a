// The list of model servers: a row for each, with what the agent says of it.

import { write } from './figures.js';
import { serverName } from './standing.js';
import { list as names, say, sentence } from './words.js';

const list = document.getElementById('servers');
const rows = () => [...list.children];

let seen = [];
let agreed = false;
/** Asks the agent to look at the servers now. */
let probe = () => {};
/** The row that is being tested, with when its server was looked at before. */
let testing;
/** Addresses that Chrome does not let the extension reach. */
let forbidden = new Set();

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
  row.querySelector('.test').addEventListener('click', () => test(row));
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

/** Says how the agent is asked to look. */
export function ask(how) {
  probe = how;
}

function test(row) {
  // Before the owner has agreed nobody is asked anything.
  if (!agreed || !server(row)) return;
  testing = { row, before: server(row)?.lookedAt };
  probe();
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
  if (servers.some(({ reason }) => reason?.code === 'server_silent')) findForbidden(servers);
}

/** Finds out which silent servers are silent because the owner's permission is missing. */
async function findForbidden(servers) {
  const missing = [];
  for (const { address, reason } of servers) {
    const origins = [`${address.replace(/:\d+$/, '')}/*`];
    if (reason?.code === 'server_silent' && !(await chrome.permissions.contains({ origins }))) missing.push(address);
  }
  forbidden = new Set(missing);
  paintRows();
}

function paintRows() {
  const blank = rows().every((row) => row.querySelector('.address').value.trim() === '');
  for (const row of rows()) {
    const [tone, text] = health(row, blank);
    const place = row.querySelector('.health');
    place.dataset.tone = tone;
    write(place, text);
  }
}

function health(row, blank) {
  const address = row.querySelector('.address').value;
  if (row.dataset.saved !== address) return ['idle', say('options_server_unsaved')];
  if (address === '' && !blank) return ['idle', ''];
  if (testing?.row === row) return ['busy', say('options_server_testing')];
  const found = server(row);
  if (!found) return ['idle', say(address === '' ? 'options_server_none' : 'options_server_unasked')];
  if (forbidden.has(found.address)) return ['bad', say('options_server_forbidden')];
  if (found.reason) return [found.reason.code === 'looking' ? 'busy' : 'bad', sentence(found.reason, 'why')];
  const [name, models] = [serverName(found.kind), names(found.models)];
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
