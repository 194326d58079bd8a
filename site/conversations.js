// Conversations, kept in this browser and nowhere else.

import { inBrowser } from './kept.js';

const KEPT = 'conversations';

/** Under which name the browser keeps which were deleted last: another page that still shows one does not keep it anew. */
const FORGOTTEN = 'forgotten';

/** Most conversations that are kept, and most characters of all of them; the oldest go first. */
const MANY = 50;
const CHARACTERS = 2_000_000;

/** Most that are known as deleted. */
const MANY_FORGOTTEN = 200;

function list(name) {
  try {
    const kept = JSON.parse(inBrowser.read(name) ?? '[]');
    return Array.isArray(kept) ? kept : [];
  } catch {
    return [];
  }
}

function write(all) {
  const kept = all.slice(0, MANY);
  let text = JSON.stringify(kept);
  while (text.length > CHARACTERS && kept.length > 1) {
    kept.pop();
    text = JSON.stringify(kept);
  }
  inBrowser.write(KEPT, text);
}

/** Gives all conversations, the latest first: `{id, at, title, turns, replaced, provider}`. */
export const conversations = () => list(KEPT).filter((one) => typeof one?.id === 'string' && Array.isArray(one.turns));

/** Tells whether a conversation was deleted, in this page or in another one. */
export const isForgotten = (id) => list(FORGOTTEN).includes(id);

/** By what a turn is known, whoever goes on with its answer. */
const known = ({ jobs, job, question, text }) => jobs?.[0] ?? job ?? `${question}\n${text}`;

/** Gives what is kept of a question: which turns were before it, and how much of their answers there was. */
export const before = (turns) => turns.map((turn) => ({ job: known(turn), characters: turn.text.length }));

/**
 * Keeps a conversation in front of the others, with what another page has kept of it meanwhile; one that was deleted is
 * not kept. A turn is
 * `{question, text, model, provider, receipt, remark, job, jobs, token, tokens, thumb, owed, paid, past}`; `remark` says of an answer
 * that it did not come to its end, `owed` that what it cost is not known yet, `paid` that whoever asked paid for it, and
 * `past` is what `before` gives. `replaced` are turns in whose place others were asked. Who alone is asked is `{id, name}`, or nothing.
 */
export function keep(id, turns, provider, replaced = []) {
  if (isForgotten(id)) return;
  const all = conversations();
  const stored = all.find((one) => one.id === id);
  const gone = merged(stored?.replaced ?? [], replaced);
  const whole = merged(stored?.turns ?? [], turns).filter((turn) => !gone.some((one) => known(one) === known(turn)));
  // What nobody was asked behind is of no use.
  const used = new Set(whole.flatMap(({ past }) => past ?? []).map(({ job }) => job));
  const title = whole[0].question.replaceAll(/\s+/g, ' ').slice(0, 60);
  const one = { id, at: Date.now(), title, turns: whole, replaced: gone.filter((turn) => used.has(known(turn))), provider: provider ?? undefined };
  write([one, ...all.filter((other) => other.id !== id)]);
}

/** Gives a page's own turns and those that are kept beside them, each behind the one that it was kept behind. */
function merged(stored, own) {
  const all = [...own];
  let at = 0;
  for (const turn of stored) {
    const found = all.findIndex((one) => known(one) === known(turn));
    if (found < 0) all.splice(at, 0, turn);
    else all[found] = joined(all[found], turn);
    at = found < 0 ? at + 1 : found + 1;
  }
  return all;
}

/** Gives a page's own turn with what another page has found out about it. */
function joined(own, other) {
  const { thumb, owed, paid, receipt } = other;
  const charged = own.owed && !owed ? { owed, paid, receipt } : {};
  // Whoever has more of an answer has heard it for longer.
  const fuller = other.text?.length > own.text.length ? other : own;
  return { ...fuller, thumb: own.thumb ?? thumb, ...charged };
}

/** Finds what a job was asked and what it answered, to the letter; nothing where that is not known. */
export function texts(jobId) {
  for (const { turns, replaced = [] } of conversations()) {
    const turn = turns.find(({ job }) => job === jobId);
    if (!turn) continue;
    // Of an answer that several have made nobody has kept who said what.
    if (!turn.past || turn.jobs?.length > 1) return null;
    const all = new Map([...turns, ...replaced].map((one) => [known(one), one]));
    if (!turn.past.every(({ job }) => all.has(job))) return null;
    const past = turn.past.map(({ job, characters }) => {
      const { question, text } = all.get(job);
      return { question, text: text.slice(0, characters) };
    });
    return { prompt: messages(past, turn.question), answer: turn.text };
  }
  return null;
}

/** Writes what is asked: a question behind some turns. */
export function messages(past, question) {
  return [
    ...past.flatMap((turn) => [
      { role: 'user', content: turn.question },
      { role: 'assistant', content: turn.text },
    ]),
    { role: 'user', content: question },
  ];
}

/** Notes what a kept answer cost of which that was not known. */
export function settle(id, job, cost) {
  const all = conversations();
  const turn = all.find((one) => one.id === id)?.turns.find((one) => one.job === job);
  if (!turn?.owed) return;
  turn.owed = false;
  turn.paid = Number(cost) > 0;
  if (turn.paid) turn.receipt = [...(turn.receipt ?? []), ['Cost', `$${cost}`]];
  write(all);
}

/** Forgets a conversation. */
export function forget(id) {
  inBrowser.write(FORGOTTEN, JSON.stringify([id, ...list(FORGOTTEN)].slice(0, MANY_FORGOTTEN)));
  write(conversations().filter((one) => one.id !== id));
}

const SPENT = 'spent';

/** Has `hear` called whenever another page has changed what is kept. */
export function elsewhere(hear) {
  addEventListener('storage', ({ key }) => [KEPT, FORGOTTEN, SPENT, null].includes(key) && hear());
}

const dayOf = (moment) => new Date(moment).toISOString().slice(0, 10);
const today = () => dayOf(Date.now());

/** What is known of today: `{nanos, jobs}`, with the jobs that are in it. */
function spending() {
  try {
    const { day, nanos, jobs = [] } = JSON.parse(inBrowser.read(SPENT) ?? '{}');
    if (day === today()) return { nanos: BigInt(nanos), jobs: new Set(jobs) };
  } catch {
    // What cannot be read begins anew.
  }
  return { nanos: 0n, jobs: new Set() };
}

/** Gives what was spent today in this browser, in nano-dollars. */
export const spentToday = () => spending().nanos;

/** Adds what the answer of a job cost, a decimal text in dollars, if it ended today. A job counts once. */
export function spend(job, dollars, endedAt = Date.now()) {
  const { nanos: before, jobs } = spending();
  if (dayOf(endedAt) !== today() || nanos(dollars) === 0n || jobs.has(job)) return;
  const now = { day: today(), nanos: String(before + nanos(dollars)), jobs: [...jobs, job] };
  inBrowser.write(SPENT, JSON.stringify(now));
}

/** Reads a decimal text in dollars as nano-dollars; what is none counts nothing. */
export function nanos(dollars) {
  const [, whole, parts = ''] = /^(\d+)\.?(\d{0,9})$/.exec(dollars) ?? [];
  return whole === undefined ? 0n : BigInt(whole + parts.padEnd(9, '0'));
}

/** Writes nano-dollars as dollars. */
export function dollars(nanos) {
  const text = String(nanos).padStart(10, '0');
  const parts = text.slice(-9).replace(/0+$/, '').padEnd(2, '0');
  return `$${text.slice(0, -9)}.${parts}`;
}
