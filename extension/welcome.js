// The first run: facts, and three steps that fill themselves in from the agent's state.

import { gpuName, make, micros, seconds, thousands, write } from './figures.js';
import { tell, watch } from './line.js';
import { remedy, remedyOf, serverName, standing, words } from './standing.js';
import { say, sentence } from './words.js';

/** How often the agent is asked to go on looking, in milliseconds; it stops by itself after a minute. */
const LOOK_EVERY = 30_000;

const $ = (id) => document.getElementById(id);

let looking;
let latest;

watch(paint);
$('look').addEventListener('click', look);
$('try').addEventListener('click', () => tell('try'));
$('options').addEventListener('click', () => chrome.runtime.openOptionsPage());
$('allow').addEventListener('click', allow);
$('agree').addEventListener('change', (event) => {
  chrome.storage.local.set({ consent: { given: event.target.checked, at: Date.now() } });
});
$('standing-button').addEventListener('click', (event) => remedy(event.target.dataset.act, tell));
chrome.permissions.onAdded.addListener(() => tell('look'));

/** Looks at once, and goes on for as long as this page is open. */
function look() {
  looking ??= setInterval(() => document.hidden || tell('look'), LOOK_EVERY);
  tell('look');
}

/** Chrome asks the owner only while the click is fresh, so nothing is awaited before this. */
function allow() {
  chrome.permissions.request({ origins: [$('allow').dataset.origin] });
}

async function paint(state) {
  latest = state;
  // An agent that was made anew meanwhile knows nothing of the look.
  if (looking && state.server.reason?.code === 'no_consent' && !document.hidden) tell('look');
  paintMachine(state);
  paintModels(state.models);
  paintTrial(state);
  paintConsent(state);
  await paintTrouble(state);
  mark($('step-server'), state.models.length > 0);
  mark($('step-models'), state.models.length > 0);
  mark($('step-consent'), state.consent);
  document.body.dataset.painted ??= performance.now();
}

function mark(step, done) {
  step.toggleAttribute('data-done', done);
}

function paintMachine({ gpu, server }) {
  write($('gpu'), gpuName(gpu));
  const found = server.address && say('server_at', serverName(server.kind), server.address.replace('http://', ''));
  const asked = server.reason?.code !== 'no_consent';
  const none = server.reason?.code === 'looking' ? 'welcome_looking' : 'welcome_none_found';
  write($('server'), found || say(asked ? none : 'welcome_not_looked'));
  $('look').className = asked ? '' : 'first';
  write($('look'), say(asked ? 'welcome_look_again' : 'welcome_look'));
  $('look').hidden = asked && !server.reason;
}

/** Says what keeps the server from being used, how to mend it, and with which button. */
async function paintTrouble(state) {
  const code = state.server.reason?.code;
  const none = !code || code === 'no_consent' || code === 'looking';
  const origin = code === 'server_silent' ? await forbidden() : undefined;
  if (state !== latest) return;
  $('trouble').hidden = none;
  $('options').hidden = none;
  $('allow').hidden = !origin;
  if (none) return;
  $('allow').dataset.origin = origin ?? '';
  write($('trouble-text'), origin ? say('welcome_not_allowed') : sentence(state.server.reason, 'why'));
  explain($('trouble-how'), origin ? 'not_allowed' : code);
}

/** Gives the pattern of the owner's server where Chrome lacks the permission for it. */
async function forbidden() {
  const { config } = await chrome.storage.local.get('config');
  const address = config?.servers?.[0]?.address;
  if (!address || !URL.canParse(address)) return undefined;
  const { protocol, hostname } = new URL(address);
  const origin = `${protocol}//${hostname}/*`;
  return (await chrome.permissions.contains({ origins: [origin] })) ? undefined : origin;
}

function explain(place, code) {
  if (place.dataset.code === code) return;
  place.dataset.code = code;
  const how = document.querySelector(`template[data-how="${code}"]`);
  place.replaceChildren(...(how ? [how.content.cloneNode(true)] : []));
}

function paintModels(models) {
  $('models-none').hidden = models.length > 0;
  $('price').hidden = models.length === 0;
  const text = JSON.stringify(models.map(({ model, price, context, slots }) => [model, price, context, slots]));
  if ($('models').dataset.text === text) return;
  $('models').dataset.text = text;
  const rows = models.map((model) => {
    const row = make('li');
    const price = model.price ? `${micros(model.price.input)} / ${micros(model.price.output)}` : say('price_relay');
    const detail = [model.quantization, say('model_context', thousands(model.context)), say('model_slots', model.slots)];
    row.append(make('span', 'name', model.model), make('span', 'figure', price));
    row.append(make('span', 'detail quiet', detail.filter(Boolean).join(' · ')));
    return row;
  });
  $('models').replaceChildren(...rows);
}

function paintTrial({ trial, models }) {
  $('trial').hidden = !models.some(({ kind }) => kind === 'text');
  $('try').disabled = trial?.running ?? false;
  write($('tried'), trial ? tried(trial) : say('welcome_try_hint'));
}

function tried({ model, running, tokensPerSecond, firstTokenMs, failed }) {
  if (running) return say('welcome_trying', model);
  if (failed) return sentence(failed);
  if (tokensPerSecond === null) return say('welcome_tried', model);
  if (firstTokenMs === null) return say('welcome_tried_speed', model, tokensPerSecond);
  return say('welcome_tried_first', model, tokensPerSecond, seconds(firstTokenMs / 1000));
}

function paintConsent(state) {
  $('agree').checked = state.consent;
  $('standing').hidden = !state.consent;
  $('done').hidden = !state.consent || state.connection.phase !== 'ready';
  if (!state.consent) return;
  const { tone, code, ...stands } = standing(state);
  const { title, text } = words(stands);
  $('standing').dataset.tone = tone;
  write($('standing-title'), `${title}.`);
  write($('standing-text'), text);
  // What the server lacks is explained in the first step.
  const { label, act } = remedyOf(code);
  $('standing-button').hidden = !act || act === 'welcome';
  write($('standing-button'), label);
  $('standing-button').dataset.act = act;
  explain($('standing-how'), state.server.reason ? '' : (code ?? ''));
}
