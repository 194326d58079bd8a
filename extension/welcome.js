// The first run: facts, and three steps that fill themselves in from the agent's state.

import { asked, gpuName, make, micros, seconds, thousands, usd, write } from './figures.js';
import { tell, watch } from './line.js';
import { browser } from './pkg/parts.js';
import { remedy, remedyOf, serverPlace, standing, words } from './standing.js';
import { say, sentence } from './words.js';

/** How often the agent is asked to go on looking, in milliseconds; it stops by itself after a minute. */
const LOOK_EVERY = 30_000;

/** What the settings are for where something is amiss with the server, by its code. */
const SETTINGS = {
  server_silent: 'do_change_address',
  no_model: 'do_load_model',
  only_cloud: 'do_load_own',
};

const $ = (id) => document.getElementById(id);

let looking;
let latest;

watch(paint);
$('look').addEventListener('click', look);
$('try').addEventListener('click', () => tell('try'));
$('options').addEventListener('click', () => chrome.runtime.openOptionsPage());
$('allow').addEventListener('click', () => remedy('allow', tell, latest));
$('take').addEventListener('click', () => tell('price', { model: $('take').dataset.model }));
$('agree').addEventListener('change', (event) => {
  chrome.storage.local.set({ consent: { given: event.target.checked, at: Date.now() } });
});
$('standing-button').addEventListener('click', (event) => remedy(event.target.dataset.act, tell, latest));
// Whoever comes back from the settings sees what they have changed.
document.addEventListener('visibilitychange', () => latest && paint(latest));

/** Looks at once, and goes on for as long as this page is open. */
function look() {
  looking ??= setInterval(() => document.hidden || tell('look'), LOOK_EVERY);
  tell('look');
}

function paint(state) {
  latest = state;
  // An agent that was made anew meanwhile knows nothing of the look.
  if (looking && state.server.reason?.code === 'no_consent' && !document.hidden) tell('look');
  paintMachine(state);
  paintModels(state.models);
  paintTrial(state);
  paintConsent(state);
  paintTrouble(state);
  $('in-browser').hidden = !browser || state.models.length > 0;
  // Whoever has no model yet has nothing to enlarge, unless a button has led here.
  $('context').hidden = state.models.length === 0 && location.hash !== '#context';
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
  const found = server.address && serverPlace(server);
  const asked = server.reason?.code !== 'no_consent';
  const none = server.reason?.code === 'looking' ? 'welcome_looking' : 'welcome_none_found';
  write($('server'), found || say(asked ? none : 'welcome_not_looked'));
  $('look').className = asked ? '' : 'first';
  write($('look'), say(asked ? 'welcome_look_again' : 'welcome_look'));
  $('look').hidden = asked && !server.reason;
}

/** Says what keeps the server from being used, how to mend it, and with which button. */
function paintTrouble({ server }) {
  const code = server.reason?.code;
  const none = !code || code === 'no_consent' || code === 'looking';
  const { label, act } = remedyOf(code);
  $('trouble').hidden = none;
  $('options').hidden = none;
  $('allow').hidden = none || act !== 'allow';
  if (none) return;
  if (act === 'allow') write($('allow'), label);
  write($('options'), act === 'options' ? label : say(SETTINGS[code] ?? 'welcome_set_address'));
  write($('trouble-text'), sentence(server.reason, 'why'));
  explain($('trouble-how'), code);
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
  const text = JSON.stringify(models.map(({ model, pricing, context, slots }) => [model, pricing, context, slots]));
  if ($('models').dataset.text === text) return;
  $('models').dataset.text = text;
  const rows = models.map((model) => {
    const row = make('li');
    const detail = [model.quantization, say('model_context', thousands(model.context)), say('model_slots', model.slots)];
    row.append(make('span', 'name', model.model), make('span', 'figure', asked(model.pricing)));
    row.append(make('span', 'detail quiet', detail.filter(Boolean).join(' · ')));
    return row;
  });
  $('models').replaceChildren(...rows);
}

function paintTrial({ trial, models }) {
  $('trial').hidden = !models.some(({ kind }) => kind === 'text');
  $('try').disabled = trial?.running ?? false;
  write($('tried'), trial ? tried(trial) : say('welcome_try_hint'));
  const { proposal, pricing } = models.find(({ model }) => model === trial?.model) ?? {};
  const isNew = proposal && !trial.running && JSON.stringify(proposal.pricing) !== JSON.stringify(pricing);
  $('proposal').hidden = !isNew;
  if (!isNew) return;
  $('take').dataset.model = trial.model;
  write($('proposed'), proposed(proposal));
}

/** Says which price would do, and what it goes by. */
function proposed({ pricing, basis, watts, perKwh }) {
  const { input, output } = pricing.floor ?? pricing;
  if (basis === 'market') return say('welcome_proposal_market', micros(input), micros(output));
  const key = basis === 'power' ? 'welcome_proposal_power' : 'welcome_proposal_usual_power';
  return say(key, micros(output), watts, usd(perKwh));
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
