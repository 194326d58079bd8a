// The chat page: takes a question, keeps the conversation, and lets the other modules show it.

import './told.js';
import { unique } from './call.js';
import { charge } from './charges.js';
import { GPUStreamingClient, RekursingError } from './client/index.js';
import { before, conversations, dollars, elsewhere, forget, isForgotten, keep, messages, settle, spend, spentToday } from './conversations.js';
import { copied } from './copy.js';
import { inTab } from './kept.js';
import { picker } from './models.js';
import { Turn } from './turn.js';
import { twice } from './twice.js';

const $ = (id) => document.getElementById(id);
/** The conversations of this page by their ids. */
const talks = new Map();
/** The conversation that is shown; `only` is who alone is asked in it, `{id, name}`, where it was begun so. */
let talk = begin(unique(), asked(new URLSearchParams(location.search).get('provider')));
let market = { chosen: '', count: 0, reachable: true };
let running = null;

const list = picker({ place: $('models'), note: $('models-note'), tier: $('tier'), terms: $('tier-terms'), changed: show });

$('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  if (running) halt();
  else send($('question').value.trim());
});

$('question').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (!running) send($('question').value.trim());
});

$('question').addEventListener('input', () => {
  fit();
  controls();
});

$('starters').addEventListener('click', (event) => {
  if (!event.target.matches('.starter')) return;
  if (market.count > 0) send(event.target.textContent);
  else fill(event.target.textContent);
});

$('fresh').addEventListener('click', () => {
  clear();
  $('question').focus();
});

$('turns').addEventListener('again', ({ detail: turn }) => {
  if (running) return;
  if (market.count > 0) send(turn.question, { instead: turn, routing: { ignore: [turn.provider?.id ?? []].flat() } });
  else stays(turn, 'No GPU is connected right now.');
});

$('turns').addEventListener('thumb', async ({ detail: { turn, up } }) => {
  const client = new GPUStreamingClient(location.origin, { key: $('key').value.trim() });
  try {
    // Each who has made a part of it is told.
    for (const [at, job] of turn.jobs.entries()) await client.rate(job, up, { token: turn.tokens?.[at] ?? turn.token });
    turn.thumbed(up);
    keepTurns(talk);
    $('news').textContent = 'Thank you, that is noted.';
  } catch ({ message }) {
    $('news').textContent = message;
  }
});

$('anybody').addEventListener('click', () => {
  askAnybody(talk);
  keepTurns(talk);
  showConversations();
  $('question').focus();
});

twice($('forget-all'), () => 'Delete all for good', () => {
  for (const { id } of conversations()) drop(id);
  showConversations();
});

showOnly();
if (talk.only) introduce(talk);
showConversations();
showSpent();

/** Begins a conversation: `busy` counts what is still under way in it, `replaced` are turns in whose place others were asked. */
function begin(id, only) {
  const one = { id, turns: [], replaced: [], only, busy: 0 };
  talks.set(id, one);
  return one;
}

/** Begins another conversation. */
function clear() {
  if (running) keepTurns(talk);
  halt();
  running = null;
  talk = begin(unique(), null);
  inTab.remove('talk');
  askAnybody(talk);
  $('turns').replaceChildren();
  $('welcome').hidden = false;
  controls();
}

/** Shows a conversation that was kept: as it is in this page while something is under way in it, else as it is kept. */
function recall(id) {
  if (id === talk.id) return open(false);
  clear();
  const one = talks.get(id)?.busy > 0 ? talks.get(id) : reread(id);
  if (!one) return showConversations();
  talk = one;
  inTab.write('talk', id);
  showOnly();
  $('turns').append(...talk.turns.map(({ element }) => element));
  $('welcome').hidden = true;
  open(false);
  controls();
  toEnd();
}

/** Reads a conversation as it is kept; nothing where it is not. */
function reread(id) {
  const kept = conversations().find((one) => one.id === id);
  if (!kept) return null;
  const { provider } = kept;
  const one = begin(id, provider ? asked(provider.id, provider.name) : null);
  one.replaced = kept.replaced ?? [];
  for (const { question, ...answer } of kept.turns) {
    const turn = new Turn(question, { free: false });
    turn.recall(answer);
    one.turns.push(turn);
    if (turn.owed) bill(one, turn, $('key').value.trim());
  }
  return one;
}

/** Deletes a conversation, also the one that is shown. */
function drop(id) {
  forget(id);
  if (id === talk.id) clear();
}

/** Shows the conversation again that was open in this tab; whoever comes by a link that names somebody begins another. */
function reopen() {
  const [{ type } = {}] = performance.getEntriesByType('navigation');
  const last = conversations().find(({ id }) => id === inTab.read('talk'));
  if (!last || (type === 'navigate' && location.search !== '')) return;
  if (!talk.only || talk.only.id === last.provider?.id) recall(last.id);
}

function showConversations() {
  // Who is about to delete one presses again where he has pressed.
  if ($('conversations').querySelector('[data-sure]')) return;
  const all = conversations();
  $('kept').hidden = all.length === 0;
  $('conversations').replaceChildren(...all.map((one) => {
    const line = document.createElement('li');
    const [title, away] = ['button', 'button'].map((name) => Object.assign(document.createElement(name), { type: 'button', className: 'quiet' }));
    title.textContent = one.title;
    title.addEventListener('click', () => recall(one.id));
    away.textContent = 'Delete';
    away.setAttribute('aria-label', `Delete: ${one.title}`);
    twice(away, () => 'Delete for good', () => {
      drop(one.id);
      showConversations();
    });
    line.append(title, away);
    if (one.provider) line.append(Object.assign(document.createElement('p'), { className: 'note', textContent: `Asks ${called(one.provider)} alone` }));
    return line;
  }));
}

/** Gives a provider that alone is asked; none where there is no id of one. */
function asked(id, name) {
  return typeof id === 'string' && id !== '' ? { id, name: typeof name === 'string' ? name : '' } : null;
}

/** Whoever has no name is known by the end of his id. */
function called({ id, name }) {
  const short = String(id).slice(-6);
  return name ? `${name} (${short})` : `provider ${short}`;
}

/** From here on a conversation asks not one alone. */
function askAnybody(of) {
  of.only = null;
  if (of !== talk) return;
  // Loaded again, the page asks nobody alone either.
  const address = new URL(location.href);
  address.searchParams.delete('provider');
  history.replaceState(null, '', address);
  showOnly();
}

function showOnly() {
  $('only').hidden = !talk.only;
  $('only-name').textContent = talk.only ? called(talk.only) : '';
}

/** Takes up what the provider that alone is asked is called, once it is known. */
function meet({ only }, provider) {
  if (!only || provider?.id !== only.id || typeof provider.name !== 'string') return;
  only.name = provider.name;
  showOnly();
}

/** Finds out what the provider that alone is asked is called. */
async function introduce(of) {
  const { providers } = await new GPUStreamingClient(location.origin).live().catch(() => ({ providers: [] }));
  const { pluginId: id, name } = providers.find(({ pluginId }) => pluginId === of.only?.id) ?? {};
  if (name && of === talk) meet(of, { id, name });
}

function showSpent() {
  $('spent').textContent = dollars(spentToday());
}

/** Keeps a conversation as it stands, unless it was deleted. */
function keepTurns({ id, turns, only, replaced }) {
  const answered = turns.filter(({ text }) => text !== '');
  if (answered.length === 0) return;
  keep(id, answered.map((one) => one.kept()), only, replaced);
  if (id === talk.id) inTab.write('talk', id);
}

/** Keeps the conversation of an answer that has ended, and what the answer cost. */
function note(of, turn, key) {
  keepTurns(of);
  if (turn.owed) bill(of, turn, key);
  else if (turn.cost) spend(turn.job, turn.cost);
  showConversations();
  showSpent();
}

/** Finds out what an answer cost whose end this page has not seen. */
async function bill(of, turn, key) {
  of.busy += 1;
  const charged = await charge(turn.jobs, key);
  of.busy -= 1;
  if (!charged || !turn.owed) return;
  turn.charged(charged);
  spend(turn.job, charged.cost, charged.endedAt);
  note(of, turn, key);
}

/** Does the same for those answers that were left in the middle with the page. */
async function billKept() {
  const key = $('key').value;
  const owed = conversations().flatMap(({ id, turns }) => turns.filter((turn) => turn.owed).map((turn) => ({ id, ...turn })));
  for (const { id, job, jobs } of key ? owed : []) {
    const charged = await charge(jobs, key);
    if (!charged) continue;
    settle(id, job, charged.cost);
    spend(job, charged.cost, charged.endedAt);
    showSpent();
  }
}

$('key').value = inTab.read('key') ?? '';
$('key').addEventListener('input', () => inTab.write('key', $('key').value.trim()));
billKept();
reopen();

// What another page has deleted is gone here too.
elsewhere(() => {
  if (isForgotten(talk.id)) clear();
  showConversations();
  showSpent();
});

$('panel-toggle').addEventListener('click', () => open($('panel-toggle').ariaExpanded !== 'true'));
$('models').addEventListener('click', (event) => event.target.matches('input') || open(false));

document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape') return;
  if ($('panel-toggle').ariaExpanded === 'true') open(false);
  else halt();
});

document.addEventListener('click', async (event) => {
  if (!event.target.matches('[data-copy]')) return;
  const button = event.target;
  button.textContent = (await copied(button.closest('figure').querySelector('code').textContent)) ? 'Copied' : 'Could not copy';
  setTimeout(() => (button.textContent = 'Copy'), 1_500);
});

$('talk').addEventListener('scroll', () => ($('to-end').hidden = nearEnd()), { passive: true });
$('turns').addEventListener('grown', () => follow());
// A phone that is turned, or whose keyboard opens, keeps the newest line in sight.
addEventListener('resize', () => follow());
// Whoever leaves the page wants no more of the answer, and finds what he has heard of it when he comes back.
addEventListener('pagehide', () => {
  if (running) keepTurns(talk);
  halt();
});
$('to-end').addEventListener('click', () => toEnd());

/**
 * Asks one question and shows its answer to its end, whatever the end is. `instead` is the answer that this one is to
 * replace, which stays until there is a word of it, `routing` says who is asked, and `price` what may be paid at most.
 */
async function send(question, { instead, routing = talk.only ? { only: [talk.only.id] } : undefined, price } = {}) {
  if (question === '' || running || market.count === 0) return;
  const stop = new AbortController();
  const key = $('key').value.trim();
  const turn = new Turn(question, { free: key === '' });
  const client = new GPUStreamingClient(location.origin, { key });
  const of = talk;
  of.busy += 1;
  const at = instead ? of.turns.indexOf(instead) : of.turns.length;
  // A question that got no answer is left out.
  const past = of.turns.slice(0, at).filter(({ text }) => text !== '');
  const asks = messages(past, question);
  turn.past = before(past);
  running = { stop, turn, client };
  $('welcome').hidden = true;
  if (instead) instead.element.after(turn.element);
  else $('turns').append(turn.element);
  let stands = instead;
  const take = () => {
    of.turns.splice(at, stands ? 1 : 0, turn);
    if (stands?.text) of.replaced.push(stands.kept());
    const held = stands?.element.contains(document.activeElement);
    stands?.element.remove();
    stands = null;
    if (held) $('question').focus();
    if (routing?.ignore) askAnybody(of);
  };
  // Nothing is lost with an answer of which nothing was heard.
  if (!instead?.text) take();
  if (instead) instead.stays('');
  else fill('');
  controls();
  open(false);
  if (!instead) toEnd();
  $('news').textContent = 'The question was sent.';
  let why = 'The other provider did not say a word.';
  try {
    // What runs in a browser is to be had in the lowest tier alone.
    const quality = market.browser ? 'low' : $('tier').value;
    const terms = JSON.stringify([market.chosen, quality, routing]);
    // What the reader agreed to pay holds for the same wish of this conversation.
    if (price) of.agreed = { terms, price };
    const maxPrice = key && of.agreed?.terms === terms ? of.agreed.price : undefined;
    const wishes = { model: market.chosen, quality, provider: routing, maxPrice, signal: stop.signal };
    for await (const event of client.stream(asks, wishes)) {
      turn.take(event);
      meet(of, event.provider);
      if (stands && turn.text) take();
    }
    $('news').textContent = 'The answer is complete.';
  } catch (error) {
    why = ended(turn, error, stop.signal.aborted);
  }
  if (stands) {
    turn.element.remove();
    stays(stands, why);
  }
  of.busy -= 1;
  if (running?.stop === stop) running = null;
  note(of, turn, key);
  controls();
  follow();
}

/** Says why an answer stays where another one was asked for. */
function stays(turn, why) {
  turn.stays(`${why} The answer from before stays.`);
  $('news').textContent = `${why} The answer from before stays.`;
}

/** Stops the answer under way: by its job where that is known, so that its cost is told; else by leaving. */
function halt() {
  if (!running) return;
  const { stop, turn, client } = running;
  if (!turn.job) return stop.abort();
  setTimeout(() => stop.abort(), 2_000);
  client.cancel(turn.job).catch(() => stop.abort());
}

/** Ends an answer that did not come to its end, and tells why. */
function ended(turn, error, wished) {
  const isStopped = error.code === 'cancelled';
  if (isStopped || wished) {
    turn.stop(isStopped ? error : {});
    return 'You stopped it before the other answer began.';
  }
  const known = error instanceof RekursingError;
  if (!known) console.error(error);
  list.refresh();
  const failure = known ? error : { message: 'This page made a mistake. Load it again.' };
  return turn.fail(failure, (price) => send(turn.question, { instead: turn, price }));
}

/** Shows what the relay offers at this moment. */
function show(state) {
  market = state;
  const there = state.count > 0;
  const [title, text] = welcome(state);
  $('welcome-title').textContent = title;
  $('welcome-text').textContent = text;
  $('starters').hidden = !there;
  $('lamp').dataset.lit = there;
  $('chosen').textContent = there ? state.chosen : 'No model';
  controls();
}

function welcome({ count, reachable }) {
  if (!reachable) return ['The relay does not answer.', 'This page tries again every ten seconds. What you have written stays here.'];
  if (count === 0) {
    return ['No GPU is connected right now.', 'As soon as an owner switches one on, its models appear here by themselves. You can write your question already.'];
  }
  return [
    'Ask a GPU that somebody left on.',
    'Your question goes to a graphics card that its owner shares. It answers here, word by word, with a receipt: who it was, how fast, and what it cost. That computer can read your question, so leave out what must stay private.',
  ];
}

function controls() {
  $('go-text').textContent = running ? 'Stop' : 'Ask';
  $('go').classList.toggle('stop', running !== null);
  $('go').disabled = !running && (market.count === 0 || $('question').value.trim() === '');
  $('fresh').disabled = talk.turns.length === 0;
}

function fill(text) {
  $('question').value = text;
  fit();
  controls();
  $('question').focus();
}

/** Makes the field as tall as its text; the style sheet sets the limit. */
function fit() {
  $('question').style.height = 'auto';
  $('question').style.height = `${$('question').scrollHeight + 2}px`;
}

function open(wished) {
  $('panel-toggle').ariaExpanded = String(wished);
  $('panel').classList.toggle('open', wished);
}

function nearEnd() {
  const { scrollHeight, scrollTop, clientHeight } = $('talk');
  return scrollHeight - scrollTop - clientHeight < 80;
}

/** Stays at the end while the answer grows, unless the reader has scrolled away. */
function follow() {
  if ($('to-end').hidden) toEnd();
}

function toEnd() {
  $('talk').scrollTop = $('talk').scrollHeight;
  $('to-end').hidden = true;
}
