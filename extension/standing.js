// How things stand, in one line: for popup, welcome page and badge. What is said is a key of the
// messages or a reason of the agent's, and becomes words only where there are messages.

import { moment } from './figures.js';
import { say, sayMany, sentence } from './words.js';

const SERVERS = { lm_studio: 'LM Studio', lm_studio_v0: 'LM Studio', ollama: 'Ollama', llama_cpp: 'llama.cpp' };

const PHASES = {
  off: ['bad', 'state_not_connected'],
  preparing: ['busy', 'state_preparing'],
  connecting: ['busy', 'state_connecting'],
  ready: ['good', 'state_ready'],
  waiting: ['warn', 'state_not_connected'],
};

/** What the owner can do, by the code of the agent's reason: what a button says and what it does. */
const REMEDIES = {
  bad_relay_address: ['do_change_relay', 'options'],
  relay_unreachable: ['do_try_now', 'retry'],
  relay_refused: ['do_try_now', 'retry'],
  relay_unauthorized: ['do_connect_again', 'renew'],
  too_old: ['do_update', 'update'],
  relay_old: ['do_try_now', 'retry'],
  clock_wrong: ['do_look_at_clock', 'retry'],
  key_unusable: ['do_try_now', 'retry'],
  replaced: ['do_connect_again', 'retry'],
  key_revoked: ['do_open_options', 'options'],
  bad_frames: ['do_connect_again', 'retry'],
  overloaded: ['do_try_now', 'retry'],
  draining: ['do_try_now', 'retry'],
  heartbeat_lost: ['do_try_now', 'retry'],
  relay_stuck: ['do_try_now', 'retry'],
  no_server: ['do_start_server', 'welcome'],
  server_silent: ['do_start_again', 'welcome'],
  not_allowed: ['do_allow', 'allow'],
  origin_refused: ['do_let_through', 'allow'],
  not_a_server: ['do_change_address', 'options'],
  none_chosen: ['do_choose_models', 'options'],
  token_wanted: ['do_enter_token', 'options'],
  no_model: ['do_load_model', 'welcome'],
  only_cloud: ['do_load_own', 'welcome'],
  browser_unfit: ['do_show_how', 'browser'],
  browser_slow: ['do_show_how', 'browser'],
  browser_untried: ['do_show_how', 'browser'],
  out_of_hours: ['do_change_hours', 'options'],
  on_battery: ['do_change_when', 'options'],
  in_use: ['do_change_when', 'options'],
  own_use: ['do_change_when', 'options'],
  hour_spent: ['do_change_limit', 'options'],
  day_spent: ['do_change_limit', 'options'],
  month_spent: ['do_change_limit', 'options'],
};

/** The same for what keeps jobs away though all is well: see outlook.rs. */
const HINTS = {
  parked: ['do_look_at_server', 'retry'],
  untrusted: ['do_test_model', 'try'],
  thumbs: ['do_choose_models', 'options'],
  no_demand: ['do_change_choices', 'options'],
  not_wanted: ['do_choose_models', 'options'],
  dear: ['do_market_price', 'price'],
  too_short: ['do_show_how', 'context'],
  no_group: ['do_change_choices', 'options'],
  empty_group: ['do_change_choices', 'options'],
  verified_only: ['do_change_choices', 'options'],
  topic_refused: ['do_change_choices', 'options'],
  outranked: ['do_change_price', 'options'],
  new: ['do_see_held', 'earnings'],
};

/** Nothing but the owner helps against these. */
const OWNERS = [
  'bad_relay_address', 'relay_unauthorized', 'too_old', 'replaced', 'key_revoked', 'bad_frames', 'token_wanted', 'not_allowed',
  'origin_refused', 'clock_wrong',
];

const BADGES = {
  good: ['on', '#15803d'],
  busy: ['…', '#1d5fbf'],
  idle: ['', '#55625a'],
  warn: ['!', '#8a5a00'],
  bad: ['!', '#b3261e'],
};

/** Tells how things stand: what keeps jobs away comes before how far the link is. */
export function standing({ connection, server, consent, paused, closed, jobs }) {
  if (!consent) return { tone: 'idle', key: 'state_off', code: 'no_consent' };
  const [tone, key] = PHASES[connection.phase];
  const because = (tone, key, reason, many) => ({ tone, key, reason, many, code: reason?.code });
  if (connection.phase === 'off' || connection.phase === 'waiting') return because(tone, key, connection.reason);
  const of = server.reason;
  if (of) return ['looking', 'browser_loading'].includes(of.code) ? because('busy', 'state_preparing', of) : because('warn', 'state_no_models', of);
  // The owner's own rules: a pause, hours, idle, battery, limits.
  if (paused) return because('idle', 'state_paused', closed?.reason ?? connection.reason);
  if (closed) return because('idle', 'state_waiting', closed.reason);
  if (connection.reason?.code === 'clock_wrong') return because('warn', key, connection.reason);
  if (jobs.length > 0) return because('good', 'state_working', connection.reason, jobs.length);
  return because(tone, key, connection.reason);
}

/** Says how things stand: a line, and a sentence below it. */
export function words({ key, many, reason }) {
  return { title: many === undefined ? say(key) : sayMany(key, many), text: sentence(reason, 'why') };
}

/** What the toolbar shows and what may be worth a notification. */
export function sign(state) {
  const { tone, key, many, reason, code } = standing(state);
  const [badge, color] = BADGES[tone];
  const rests = state.consent && tone === 'idle';
  return {
    badge: rests ? 'II' : tone === 'good' && many ? String(many) : badge,
    color,
    key,
    many,
    reason,
    worked: state.earnings ? state.earnings.jobs > 0 : null,
    paid: state.earnings?.paid ?? null,
    moved: state.earnings?.payoutsHeldUntil ?? null,
    needs: OWNERS.includes(code) ? code : '',
  };
}

/** What the button beside a reason says and does; empty where there is nothing to do. */
export function remedyOf(code) {
  return button(REMEDIES, code);
}

/** The same beside what keeps jobs away though all is well. */
export function hintOf(code) {
  return button(HINTS, code);
}

function button(table, code) {
  const [key, act] = Object.hasOwn(table, code ?? '') ? table[code] : [];
  return act ? { label: say(key), act } : { label: '', act: '' };
}

/** Names a kind of model server. */
export function serverName(kind) {
  if (kind === 'browser') return say('server_browser');
  return SERVERS[kind] ?? say('server_generic');
}

/** Says which server it is and where. */
export function serverPlace({ kind, address }) {
  return kind === 'browser' ? serverName(kind) : say('server_at', serverName(kind), address.replace('http://', ''));
}

/** Gives Chrome's patterns of the servers that are kept from the extension. */
function origins({ servers = [] } = {}) {
  const kept = servers.filter((server) => ['not_allowed', 'origin_refused'].includes(server?.reason?.code));
  return kept.map(({ origin }) => origin).filter(Boolean);
}

/** Does what a remedy says, by the agent's last state and about a model where it is about one. */
export function remedy(act, tell, state, model) {
  const acts = {
    retry: () => tell('retry'),
    try: () => tell('try'),
    price: () => tell('price', { model }),
    earnings: () => chrome.tabs.create({ url: 'earnings.html' }),
    context: () => chrome.tabs.create({ url: 'welcome.html#context' }),
    // Chrome asks the owner only while the click is fresh, so nothing is awaited before this.
    async allow() {
      const wanted = origins(state);
      if (wanted.length > 0) await chrome.permissions.request({ origins: wanted });
      tell('look');
      tell('retry');
    },
    renew: () => chrome.tabs.create({ url: 'options.html#renew' }),
    welcome: () => chrome.tabs.create({ url: 'welcome.html#steps' }),
    browser: () => chrome.tabs.create({ url: 'browser.html' }),
    options: () => chrome.runtime.openOptionsPage(),
    async update() {
      const { status } = await chrome.runtime.requestUpdateCheck();
      if (status === 'update_available') chrome.runtime.reload();
      else tell('retry');
    },
  };
  return acts[act]();
}

const STEERED = { paused: 'steered_paused', resumed: 'steered_resumed', priced: 'steered_priced' };

/** Says what was changed from a phone of late. */
export function steered({ steered: change }) {
  return change ? say(STEERED[change.what], moment(change.at)) : '';
}
