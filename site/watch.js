// Who is on, followed by all open pages of the site together: one of them listens to the relay and passes on what it
// hears, and when it is closed another one does.

/** How long a relay that has no room is left alone, in milliseconds. */
const AGAIN_MS = 20_000;

const others = new BroadcastChannel('live');
const hearers = [];
const known = new Map();
let totals;
let isKnown = false;
let isListening = false;

/** Tells whether it is this page that listens to the relay. */
export const listens = () => isListening;

/**
 * Has `hear` told of who is on for as long as the page is open: first of everybody, then of what changes, as
 * `{isReached, isWhole, totals, providers, gone}`. Without `isReached` it is only that the relay does not answer.
 */
export function watch(hear) {
  if (hearers.push(hear) === 1) begin();
  else if (isKnown) hear(whole());
}

function begin() {
  others.addEventListener('message', ({ data: news }) => {
    if (!news.asks) take(news);
    else if (isListening && isKnown) others.postMessage(whole());
  });
  others.postMessage({ asks: true });
  // Where the browser lets no page wait for another one, each listens for itself.
  if (!navigator.locks) return listen();
  return navigator.locks.request('live', () => {
    listen();
    return new Promise(() => {});
  }).catch(listen);
}

function listen() {
  isListening = true;
  const source = new EventSource('/api/live');
  for (const name of ['live', 'changes']) {
    source.addEventListener(name, ({ data }) => pass({ ...JSON.parse(data), isReached: true, isWhole: name === 'live' }));
  }
  source.addEventListener('error', () => {
    pass({ isReached: false });
    // A refusal ends it, a broken connection does not.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS * (0.5 + Math.random()));
  });
}

function pass(news) {
  take(news);
  if (navigator.locks) others.postMessage(news);
}

function take(news) {
  // What has changed means nothing to whoever does not know what was.
  if (news.isReached && !news.isWhole && !isKnown) return;
  if (news.isWhole) {
    known.clear();
    isKnown = true;
  }
  for (const one of news.providers ?? []) known.set(one.pluginId, one);
  for (const id of news.gone ?? []) known.delete(id);
  totals = news.totals ?? totals;
  for (const hear of hearers) hear(news);
}

const whole = () => ({ isReached: true, isWhole: true, totals, providers: [...known.values()] });
