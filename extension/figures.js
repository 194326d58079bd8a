// Figures as owners read them. Amounts are decimal texts of the relay and are never made numbers
// but to draw them.

/** Gives a decimal number of dollars at least two decimals, and takes none away. */
export function usd(text) {
  const [dollars, decimals = ''] = text.split('.');
  return `$${dollars}.${decimals.padEnd(2, '0')}`;
}

/** Prints micro-dollars as dollars. */
export function micros(number) {
  return usd((number / 1e6).toFixed(6).replace(/\.?0+$/, ''));
}

export function isNothing(text) {
  return Number(text) === 0;
}

export function count(number, noun) {
  return `${number.toLocaleString()} ${noun}${number === 1 ? '' : 's'}`;
}

/** Prints a context as servers write it: 32768 is 32k. */
export function thousands(tokens) {
  return tokens < 1024 ? String(tokens) : `${Math.round(tokens / 1024)}k`;
}

export function moment(millis) {
  return new Date(millis).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}

export function date(millis) {
  return new Date(millis).toLocaleDateString(undefined, { dateStyle: 'medium' });
}

/** Prints a day of UTC, `2026-03-01`, as its date. */
export function utcDay(day, style = { day: 'numeric', month: 'short' }) {
  return new Date(`${day}T00:00:00Z`).toLocaleDateString(undefined, { timeZone: 'UTC', ...style });
}

/** Gives the last so many days of UTC up to today, oldest first, as `2026-03-01`. */
export function lastDays(many) {
  const today = Math.floor(Date.now() / 86_400_000);
  return Array.from({ length: many }, (_, at) => new Date((today - many + 1 + at) * 86_400_000).toISOString().slice(0, 10));
}

/** Writes only what differs, so that a screen reader is not told the same thing again. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Writes an amount with what is less than a cent in small digits, seen where there is not a whole dollar. */
export function writeUsd(element, text) {
  const whole = usd(text);
  if (element.textContent === whole) return;
  const cents = whole.indexOf('.') + 3;
  element.classList.toggle('dollars', !whole.startsWith('$0.'));
  element.title = whole;
  element.replaceChildren(whole.slice(0, cents), make('small', '', whole.slice(cents)));
}

/** Makes an element with a class and a text. */
export function make(tag, name = '', text = '') {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.textContent = text;
  return element;
}

/** Makes an element of a drawing. */
export function draw(tag, attributes) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
