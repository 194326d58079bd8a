// Conversations, kept in this browser and nowhere else.

import { inBrowser } from './kept.js';

const KEPT = 'conversations';

/** Most conversations that are kept, and most characters of all of them; the oldest go first. */
const MANY = 50;
const CHARACTERS = 2_000_000;

function read() {
  try {
    const list = JSON.parse(inBrowser.read(KEPT) ?? '[]');
    return Array.isArray(list) ? list.filter(({ id, turns }) => typeof id === 'string' && Array.isArray(turns)) : [];
  } catch {
    return [];
  }
}

function write(list) {
  const kept = list.slice(0, MANY);
  let text = JSON.stringify(kept);
  while (text.length > CHARACTERS && kept.length > 1) {
    kept.pop();
    text = JSON.stringify(kept);
  }
  inBrowser.write(KEPT, text);
}

/** Gives all conversations, the latest first: `{id, at, title, turns, provider}`. */
export function conversations() {
  return read();
}

/**
 * Keeps a conversation in front of the others. A turn is
 * `{question, text, model, provider, receipt, remark, job, jobs, token, tokens, thumb, owed, paid}`; `remark` says of an answer
 * that it did not come to its end, `owed` that what it cost is not known yet, `paid` that whoever asked paid for it. Who alone is asked is `{id, name}`, or nothing.
 */
export function keep(id, turns, provider) {
  const others = read().filter((one) => one.id !== id);
  const title = turns[0].question.replaceAll(/\s+/g, ' ').slice(0, 60);
  write([{ id, at: Date.now(), title, turns, provider: provider ?? undefined }, ...others]);
}

/** Notes what a kept answer cost of which that was not known. */
export function settle(id, job, cost) {
  const list = read();
  const turn = list.find((one) => one.id === id)?.turns.find((one) => one.job === job);
  if (!turn?.owed) return;
  turn.owed = false;
  turn.paid = Number(cost) > 0;
  if (turn.paid) turn.receipt = [...(turn.receipt ?? []), ['Cost', `$${cost}`]];
  write(list);
}

/** Forgets a conversation. */
export function forget(id) {
  write(read().filter((one) => one.id !== id));
}

const SPENT = 'spent';
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
