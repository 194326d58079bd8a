// Writes money, days and tables the same on every page.

/** Makes an element with a text. */
export function make(name, text = '', className = '') {
  return Object.assign(document.createElement(name), { textContent: text, className });
}

const ID = /\b([a-z]+_[0-9A-HJKMNP-TV-Z]{26})\b/;

/** Writes a text into a place. Its ids are never broken: one has room in a line of a phone, whatever its letters. */
export function write(place, text) {
  place.replaceChildren(...text.split(ID).map((part, at) => (at % 2 === 0 ? part : make('span', part, 'id'))));
}

/** Writes an amount in dollars with no more digits than tell something. */
export function usd(amount) {
  const [, sign, whole, parts = ''] = /^(-?)(\d+)\.?(\d*)$/.exec(String(amount)) ?? [];
  if (whole === undefined) return '–';
  const kept = Number(whole) === 0 ? parts.slice(0, 9) : parts.slice(0, 2);
  return `${sign ? '−' : ''}$${Number(whole).toLocaleString('en')}.${kept.replace(/0+$/, '').padEnd(2, '0')}`;
}

/** Writes an amount in dollars to its last digit, where amounts are to add up on the screen. */
export function exact(amount) {
  const [, sign, whole, parts = ''] = /^(-?)(\d+)\.?(\d*)$/.exec(String(amount)) ?? [];
  if (whole === undefined) return '–';
  return `${sign ? '−' : ''}$${BigInt(whole).toLocaleString('en')}.${parts.replace(/0+$/, '').padEnd(2, '0')}`;
}

/** Writes an amount that is a sum of many: below a dollar by its first four digits that are not zero. */
export function sum(amount) {
  const whole = usd(amount);
  return whole.replace(/^(−?\$0\.0*[1-9]\d{3})\d+$/, '$1');
}

/** Writes a day of UTC, which comes as a text or as the moment at which it began. */
export function day(value) {
  return new Date(value).toLocaleDateString(undefined, { timeZone: 'UTC', dateStyle: 'medium' });
}

/** Writes a moment. */
export function moment(value) {
  return value ? new Date(value).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' }) : '–';
}

/** Writes how long something has lasted. */
export function lasted(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3_600)} h`;
}

/** Writes how many of a thousand as a share. */
export function permille(value) {
  return value === null || value === undefined ? '–' : `${(value / 10).toFixed(1)} %`;
}

/**
 * Fills a table's body, a row for each list of cells. A cell is a text, a number (which is put to the right)
 * or an element. On a narrow screen each row is a block whose figures are named by their columns.
 */
export function fill(body, rows) {
  const table = body.closest('table');
  const columns = [...table.querySelectorAll('thead th')];
  body.replaceChildren(...rows.map((cells) => {
    const line = make('tr');
    line.append(...cells.map((content, at) => cell(content, at, columns[at])));
    return line;
  }));
  // What is laid out as blocks stays a table to a screen reader.
  table.className = 'blocks';
  for (const [role, parts] of Object.entries(ROLES)) {
    for (const part of table.querySelectorAll(parts)) part.setAttribute('role', role);
  }
  table.setAttribute('role', 'table');
}

const ROLES = { rowgroup: 'thead, tbody', row: 'tr', columnheader: 'thead th', rowheader: 'tbody th', cell: 'td' };

function cell(content, at, column) {
  const made = make(at === 0 ? 'th' : 'td');
  if (at === 0) made.scope = 'row';
  else made.dataset.label = column?.textContent ?? '';
  if (content instanceof Element) made.append(content);
  else if (typeof content === 'number') made.append(content.toLocaleString());
  else if (ID.test(content)) {
    const text = make('span');
    write(text, content);
    made.append(text);
  } else made.append(content);
  const isNumber = typeof content === 'number' || (typeof content === 'string' && /^−?\$/.test(content)) || content?.dataset?.number !== undefined;
  if (isNumber || column?.classList.contains('number')) made.className = 'number';
  // Sentences wrap; names, codes and figures stay on one line.
  else if (typeof content === 'string' && content.length > 40 && content.includes(' ')) made.className = 'words';
  // A name without a place to break is to have room in a line of a phone.
  if (typeof content === 'string' && /\S{24,}/.test(content)) made.classList.add('long');
  return made;
}

/** Makes a text that stands to the right, as numbers do. */
export function number(text) {
  const made = make('span', text);
  made.dataset.number = '';
  return made;
}

/** Makes a bar as long as its share of the longest, with its value written above it. */
export function bar(text, value, most) {
  const made = number('');
  made.className = 'bar-cell';
  const length = make('span', '', 'length');
  const whole = make('span', '', 'whole');
  length.style.width = `${most > 0 ? Math.max(0, (100 * value) / most) : 0}%`;
  whole.setAttribute('aria-hidden', 'true');
  whole.append(length);
  made.append(make('span', text), whole);
  return made;
}

/** Fills a list of facts: `[term, value]` each. */
export function facts(list, pairs) {
  list.replaceChildren(...pairs.map(([term, value]) => {
    // What has no place to break, an id or a hash, has a line of its own.
    const pair = make('div', '', /^\S{18,}$/.test(value) ? 'long' : '');
    pair.append(make('dt', term), make('dd', String(value)));
    return pair;
  }));
}

/** How a campaign stands, by the relay's word for it. */
const CAMPAIGNS = { running: 'Runs', paused: 'Paused', waiting: 'Begins later', over: 'Over', below_floor: 'Bids too little', unfunded: 'Balance too low' };

/** Writes how a campaign stands. */
export const standing = (state) => CAMPAIGNS[state] ?? state;

/** Says what came of something. */
export function say(place, text, tone = 'good') {
  place.dataset.tone = tone;
  write(place, text);
}
