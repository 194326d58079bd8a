// How things stand, in one line: for popup, welcome page and badge. The sentences are the agent's own.

export const SERVERS = {
  lm_studio: 'LM Studio',
  lm_studio_v0: 'LM Studio',
  ollama: 'Ollama',
  llama_cpp: 'llama.cpp',
  generic: 'Model server',
};

const PHASES = {
  off: ['bad', 'Not connected'],
  preparing: ['busy', 'Getting ready'],
  connecting: ['busy', 'Connecting to the relay'],
  ready: ['good', 'Ready for jobs'],
  waiting: ['warn', 'Not connected'],
};

/** What the owner can do, by the code of the agent's reason: what a button says and what it does. */
export const REMEDIES = {
  bad_relay_address: ['Change the relay’s address', 'options'],
  relay_unreachable: ['Try now', 'retry'],
  relay_refused: ['Try now', 'retry'],
  relay_unauthorized: ['Connect again', 'retry'],
  version: ['Look for an update', 'update'],
  replaced: ['Connect again', 'retry'],
  bad_frames: ['Connect again', 'retry'],
  overloaded: ['Try now', 'retry'],
  draining: ['Try now', 'retry'],
  heartbeat_lost: ['Try now', 'retry'],
  relay_stuck: ['Try now', 'retry'],
  no_server: ['Show me how', 'welcome'],
  server_silent: ['Show me how', 'welcome'],
  not_a_server: ['Change the address', 'options'],
  none_chosen: ['Choose models', 'options'],
  token_wanted: ['Enter the token', 'options'],
  no_model: ['Show me how', 'welcome'],
};

/** Nothing but the owner helps against these. */
const OWNERS = ['bad_relay_address', 'relay_unauthorized', 'version', 'replaced', 'bad_frames', 'token_wanted'];

const BADGES = {
  good: ['on', '#15803d'],
  busy: ['…', '#1d5fbf'],
  idle: ['', '#55625a'],
  warn: ['!', '#8a5a00'],
  bad: ['!', '#b3261e'],
};

/** Says how things stand: what keeps jobs away comes before how far the link is. */
export function standing({ connection, server, consent, paused, pausedUntil, closed, jobs }) {
  if (!consent) return { tone: 'idle', title: 'Off', text: '', code: 'no_consent' };
  const [tone, title] = PHASES[connection.phase];
  const { code, text = '' } = connection.reason ?? {};
  if (connection.phase === 'off' || connection.phase === 'waiting') return { tone, title, text, code };
  const of = server.reason;
  if (of?.code === 'looking') return { tone: 'busy', title: 'Getting ready', text: of.text, code: of.code };
  if (of) return { tone: 'warn', title: 'No models to offer', text: of.text, code: of.code };
  if (paused) return { tone: 'idle', title: 'Paused', text: pausedUntil ? until(pausedUntil) : text, code };
  // The owner's own rules: hours, idle, battery, limits.
  if (closed) return { tone: 'idle', title: 'Waiting', text: closed.reason.text, code: closed.reason.code };
  if (jobs.length > 0) return { tone: 'good', title: `Working on ${jobs.length} job${jobs.length === 1 ? '' : 's'}`, text, code };
  return { tone, title, text, code };
}

/** What the toolbar shows and what may be worth a notification. */
export function sign(state) {
  const { tone, title, text, code } = standing(state);
  const [badge, color] = BADGES[tone];
  const rests = state.consent && tone === 'idle';
  return {
    badge: rests ? 'II' : tone === 'good' && state.jobs.length > 0 ? String(state.jobs.length) : badge,
    color,
    title: `Rekursing: ${title}${text ? `. ${text}` : ''}`,
    worked: state.earnings ? state.earnings.jobs > 0 : null,
    paid: state.earnings?.paid ?? null,
    needs: OWNERS.includes(code) ? text : '',
  };
}

/** Does what a remedy says. */
export function remedy(act, tell) {
  const acts = {
    retry: () => tell('retry'),
    welcome: () => chrome.tabs.create({ url: 'welcome.html#steps' }),
    options: () => chrome.runtime.openOptionsPage(),
    async update() {
      const { status } = await chrome.runtime.requestUpdateCheck();
      if (status === 'update_available') chrome.runtime.reload();
      else tell('retry');
    },
  };
  return acts[act]();
}

function until(millis) {
  return `Until ${new Date(millis).toLocaleString(undefined, { weekday: 'short', hour: '2-digit', minute: '2-digit' })}.`;
}
