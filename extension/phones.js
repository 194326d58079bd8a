// The owner's phones: a code on the screen lets one in, each can be put out again, and all can be kept from changing
// anything.

import { qr } from './pkg/agent.js';
import { draw, fault, make, moment, write } from './figures.js';
import { want, wantJson } from './line.js';
import { steered } from './standing.js';
import { say } from './words.js';

/** How often it is looked whether the code was used, in milliseconds. */
const LOOK_EVERY = 3_000;

const $ = (id) => document.getElementById(id);

/** The plugin whose phones are shown. */
let shown;
let relay;
let phones = [];
let looking;

$('show-phone').addEventListener('click', () => act(show));
$('steering').addEventListener('change', ({ target }) => chrome.storage.local.set({ steering: target.checked }));

/** Shows the phones of whoever the relay knows. */
export function paint(state) {
  $('phones').hidden = !state.consent || !state.plugin;
  $('steering').checked = state.steering;
  relay = state.relay.replace(/^ws/, 'http');
  write($('steered'), steered(state));
  if ($('phones').hidden || state.plugin === shown) return;
  shown = state.plugin;
  act(list);
}

async function list() {
  ({ phones } = await wantJson('phones'));
  $('phone-list').hidden = phones.length === 0;
  $('phone-list').replaceChildren(...phones.map(row));
}

function row({ phoneId, name, pairedAt }) {
  const item = make('li', 'row');
  const button = make('button', '', say('options_phone_forget'));
  button.type = 'button';
  button.setAttribute('aria-label', say('options_phone_forget_named', name));
  button.addEventListener('click', () => act(async () => {
    const { status, body } = await want('forget_phone', { phone: phoneId });
    if (status !== 204) throw JSON.parse(body).error;
    await list();
  }));
  item.append(make('span', '', say('options_phone_since', name, moment(pairedAt))), button);
  return item;
}

/** Shows a code until it is used or over. */
async function show() {
  const { code, expiresAt } = await wantJson('phone_code');
  const address = `${relay}/phone.html#${code}`;
  const picture = JSON.parse(qr(address));
  $('qr').setAttribute('viewBox', `0 0 ${picture.size} ${picture.size}`);
  $('qr').replaceChildren(draw('rect', { width: picture.size, height: picture.size, fill: '#fff' }), draw('path', { d: picture.path, fill: '#000' }));
  write($('phone-address'), address);
  $('phone-code').hidden = false;
  clearInterval(looking);
  looking = setInterval(look, LOOK_EVERY, expiresAt, phones.length);
}

async function look(until, before) {
  await list().catch(() => {});
  const paired = phones.length > before;
  if (!paired && Date.now() < until) return;
  clearInterval(looking);
  $('phone-code').hidden = true;
  write($('phone-outcome'), paired ? say('options_phone_paired') : say('options_phone_over'));
}

async function act(work) {
  write($('phone-outcome'), '');
  $('phone-outcome').dataset.tone = 'good';
  try {
    await work();
  } catch (error) {
    $('phone-outcome').dataset.tone = 'bad';
    write($('phone-outcome'), fault(error));
  }
}
