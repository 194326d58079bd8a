// The chat page: takes a question, keeps the conversation, and lets the other modules show it.

import { unique } from './call.js';
import { GPUStreamingClient, RekursingError } from './client/index.js';
import { conversations, dollars, forget, keep, spend, spentToday } from './conversations.js';
import { picker } from './models.js';
import { Turn } from './turn.js';

const $ = (id) => document.getElementById(id);
const turns = [];
let market = { chosen: '', count: 0, reachable: true };
let running = null;
/** The conversation as it is kept. */
let conversationId = unique();
/** Who alone is to be asked, where the page was opened for him. */
let only = new URLSearchParams(location.search).get('provider');

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
  turns.splice(turns.indexOf(turn), 1);
  turn.element.remove();
  send(turn.question, turn.provider?.id);
});

$('turns').addEventListener('thumb', async ({ detail: { turn, up } }) => {
  const client = new GPUStreamingClient(location.origin, { key: $('key').value.trim() });
  try {
    await client.rate(turn.job, up, { token: turn.token });
    turn.thumbed(up);
    keepTurns();
    $('news').textContent = 'Thank you, that is noted.';
  } catch ({ message }) {
    $('news').textContent = message;
  }
});

$('anybody').addEventListener('click', () => {
  only = null;
  showOnly();
});

$('forget-all').addEventListener('click', () => {
  for (const { id } of conversations()) forget(id);
  showConversations();
});

showOnly();
showConversations();
showSpent();

/** Begins another conversation. */
function clear() {
  only = null;
  showOnly();
  halt();
  running = null;
  conversationId = unique();
  turns.length = 0;
  $('turns').replaceChildren();
  $('welcome').hidden = false;
  controls();
}

/** Shows a conversation that was kept. */
function recall({ id, turns: kept }) {
  clear();
  conversationId = id;
  for (const { question, ...answer } of kept) {
    const turn = new Turn(question, { free: false });
    turn.recall(answer);
    turns.push(turn);
    $('turns').append(turn.element);
  }
  $('welcome').hidden = true;
  open(false);
  controls();
  toEnd();
}

function showConversations() {
  const all = conversations();
  $('kept').hidden = all.length === 0;
  $('conversations').replaceChildren(...all.map((one) => {
    const line = document.createElement('li');
    const [title, away] = ['button', 'button'].map((name) => Object.assign(document.createElement(name), { type: 'button', className: 'quiet' }));
    title.textContent = one.title;
    title.addEventListener('click', () => recall(one));
    away.textContent = 'Delete';
    away.setAttribute('aria-label', `Delete: ${one.title}`);
    away.addEventListener('click', () => {
      forget(one.id);
      showConversations();
    });
    line.append(title, away);
    return line;
  }));
}

function showOnly() {
  $('only').hidden = !only;
}

function showSpent() {
  $('spent').textContent = dollars(spentToday());
}

function keepTurns() {
  const answered = turns.filter(({ text }) => text !== '');
  if (answered.length > 0) keep(conversationId, answered.map((one) => one.kept()));
}

/** Keeps the conversation as it stands, and what its last answer cost. */
function note(turn) {
  keepTurns();
  if (turn.cost) spend(turn.cost);
  showConversations();
  showSpent();
}

$('key').value = sessionStorage.getItem('key') ?? '';
$('key').addEventListener('input', () => sessionStorage.setItem('key', $('key').value.trim()));

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
  await navigator.clipboard.writeText(button.closest('figure').querySelector('code').textContent);
  button.textContent = 'Copied';
  setTimeout(() => (button.textContent = 'Copy'), 1_500);
});

$('talk').addEventListener('scroll', () => ($('to-end').hidden = nearEnd()), { passive: true });
$('turns').addEventListener('grown', () => follow());
// A phone that is turned, or whose keyboard opens, keeps the newest line in sight.
addEventListener('resize', () => follow());
// Whoever leaves the page wants no more of the answer.
addEventListener('pagehide', () => halt());
$('to-end').addEventListener('click', () => toEnd());

/** Asks one question and shows its answer to its end, whatever the end is. */
async function send(question, ignored) {
  if (question === '' || running || market.count === 0) return;
  const stop = new AbortController();
  const key = $('key').value.trim();
  const turn = new Turn(question, { free: key === '' });
  const client = new GPUStreamingClient(location.origin, { key });
  running = { stop, turn, client };
  turns.push(turn);
  $('welcome').hidden = true;
  $('turns').append(turn.element);
  fill('');
  open(false);
  toEnd();
  $('news').textContent = 'The question was sent.';
  try {
    const provider = only ? { only: [only] } : ignored && { ignore: [ignored] };
    // What runs in a browser is to be had in the lowest tier alone.
    const quality = market.browser ? 'low' : $('tier').value;
    const wishes = { model: market.chosen, quality, provider, signal: stop.signal };
    for await (const event of client.stream(conversation(turn), wishes)) turn.take(event);
    $('news').textContent = 'The answer is complete.';
    note(turn);
  } catch (error) {
    ended(turn, error, stop.signal.aborted);
  }
  if (running?.stop === stop) running = null;
  controls();
  follow();
}

/** Stops the answer under way: by its job where that is known, so that its cost is told; else by leaving. */
function halt() {
  if (!running) return;
  const { stop, turn, client } = running;
  if (!turn.job) return stop.abort();
  setTimeout(() => stop.abort(), 2_000);
  client.cancel(turn.job).catch(() => stop.abort());
}

function ended(turn, error, wished) {
  if (error.code === 'cancelled') return turn.stop(error);
  if (wished) return turn.stop();
  const known = error instanceof RekursingError;
  if (!known) console.error(error);
  list.refresh();
  return turn.fail(known ? error : { message: 'This page made a mistake.' }, () => {
    turns.splice(turns.indexOf(turn), 1);
    turn.element.remove();
    send(turn.question);
  });
}

/** Returns the messages up to this turn; a question that got no answer is left out. */
function conversation(turn) {
  const past = turns.filter((other) => other !== turn && other.text !== '');
  return [
    ...past.flatMap(({ question, text }) => [
      { role: 'user', content: question },
      { role: 'assistant', content: text },
    ]),
    { role: 'user', content: turn.question },
  ];
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
    'Your question goes to a graphics card that its owner shares. It answers here, word by word, with a receipt: who it was, how fast, and what it cost.',
  ];
}

function controls() {
  $('go-text').textContent = running ? 'Stop' : 'Ask';
  $('go').classList.toggle('stop', running !== null);
  $('go').disabled = !running && (market.count === 0 || $('question').value.trim() === '');
  $('fresh').disabled = turns.length === 0;
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
