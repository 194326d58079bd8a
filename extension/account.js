// The owner's account on the relay: a pairing code makes this plugin the account's own.

import { fault, usd, write } from './figures.js';
import { tell as ask, want, wantJson, watch } from './line.js';
import { say } from './words.js';

const $ = (id) => document.getElementById(id);

/** The plugin whose pairing is shown without a click. */
let shown;

/** Shows whose own the plugin is, once the relay knows it. Without consent the relay is not asked by itself. */
export function listen() {
  watch(paint);
  $('pair').addEventListener('submit', (event) => act(event, pair));
  $('unpair').addEventListener('click', (event) => act(event, unpair));
  // Both may lose nothing: the relay is asked once more, or the identity of before is kept.
  $('sure-renew').addEventListener('close', () => $('sure-renew').returnValue && ask($('sure-renew').returnValue));
  $('ask-pairing').addEventListener('click', (event) => act(event, look));
}

function paint(state) {
  const { plugin, relay, consent } = state;
  warn(state);
  $('account-page').href = `${relay.replace(/^ws/, 'http')}/account.html`;
  $('unregistered').hidden = plugin !== null;
  $('unasked').hidden = consent || plugin === null;
  const next = consent ? plugin : null;
  if (next === shown) return;
  shown = next;
  if (next === null) show();
  else look().catch((error) => tell('bad', fault(error)));
}

/** Asks, where a button has led here, whether the owner wants to be somebody new, and says what that costs. */
function warn({ plugin, connection, earnings }) {
  if (location.hash !== '#renew' || connection.reason?.code !== 'relay_unauthorized') return;
  history.replaceState(null, '', location.pathname);
  write($('renew-text'), say('options_renew_text', plugin));
  write($('renew-earned'), earnings ? say('options_renew_earned', usd(earnings.total), usd(earnings.paid)) : '');
  $('sure-renew').showModal();
}

async function look() {
  show(await wantJson('pairing'));
}

/** Shows the account, or the field for a code while there is none; neither where that is not known. */
function show(pairing) {
  $('pair').hidden = pairing?.account !== null;
  $('paired').hidden = !pairing?.account;
  if (pairing?.account) $('paired-with').textContent = say('options_paired_with', pairing.account);
}

async function pair() {
  show(await wantJson('pair', { code: $('code').value, once: crypto.randomUUID() }));
  $('code').value = '';
  tell('good', say('options_paired'));
}

async function unpair() {
  const { status, body } = await want('unpair');
  if (status !== 204) throw JSON.parse(body).error;
  show({ account: null });
  tell('good', say('options_unpaired'));
}

async function act(event, work) {
  event.preventDefault();
  tell('good', '');
  try {
    await work();
  } catch (error) {
    tell('bad', fault(error));
  }
}

function tell(tone, text) {
  $('account-outcome').dataset.tone = tone;
  $('account-outcome').textContent = text;
}
