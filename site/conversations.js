// Conversations, kept in this browser and nowhere else.

const KEPT = 'conversations';

/** Most conversations that are kept, and most characters of all of them; the oldest go first. */
const MANY = 50;
const CHARACTERS = 2_000_000;

function read() {
  try {
    const list = JSON.parse(localStorage.getItem(KEPT) ?? '[]');
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
  try {
    localStorage.setItem(KEPT, text);
  } catch {
    // A full or forbidden store keeps nothing, and the page goes on.
  }
}

/** Gives all conversations, the latest first: `{id, at, title, turns}`. */
export function conversations() {
  return read();
}

/** Keeps a conversation in front of the others. A turn is `{question, text, model, receipt, job, token, thumb}`. */
export function keep(id, turns) {
  const others = read().filter((one) => one.id !== id);
  const title = turns[0].question.replaceAll(/\s+/g, ' ').slice(0, 60);
  write([{ id, at: Date.now(), title, turns }, ...others]);
}

/** Forgets a conversation. */
export function forget(id) {
  write(read().filter((one) => one.id !== id));
}

const SPENT = 'spent';
const today = () => new Date().toISOString().slice(0, 10);

/** Gives what was spent today in this browser, in nano-dollars. */
export function spentToday() {
  try {
    const { day, nanos } = JSON.parse(localStorage.getItem(SPENT) ?? '{}');
    return day === today() ? BigInt(nanos) : 0n;
  } catch {
    return 0n;
  }
}

/** Adds what an answer cost, a decimal text in dollars. */
export function spend(dollars) {
  const [, whole, parts = ''] = /^(\d+)\.?(\d{0,9})$/.exec(dollars) ?? [];
  if (whole === undefined) return;
  const nanos = spentToday() + BigInt(whole + parts.padEnd(9, '0'));
  localStorage.setItem(SPENT, JSON.stringify({ day: today(), nanos: String(nanos) }));
}

/** Writes nano-dollars as dollars. */
export function dollars(nanos) {
  const text = String(nanos).padStart(10, '0');
  const parts = text.slice(-9).replace(/0+$/, '').padEnd(2, '0');
  return `$${text.slice(0, -9)}.${parts}`;
}
