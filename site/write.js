// Writes money, days and tables the same on every page.

/** Makes an element with a text. */
export function make(name, text = '', className = '') {
  return Object.assign(document.createElement(name), { textContent: text, className });
}

/** Writes an amount in dollars with no more digits than tell something. */
export function usd(amount) {
  const [, sign, whole, parts = ''] = /^(-?)(\d+)\.?(\d*)$/.exec(String(amount)) ?? [];
  if (whole === undefined) return '–';
  const kept = Number(whole) === 0 ? parts.slice(0, 9) : parts.slice(0, 2);
  return `${sign ? '−' : ''}$${Number(whole).toLocaleString('en')}.${kept.replace(/0+$/, '').padEnd(2, '0')}`;
}

/** Writes a day of UTC, which comes as a text or as the moment at which it began. */
export function day(value) {
  return new Date(value).toLocaleDateString(undefined, { timeZone: 'UTC' });
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
 * or an element.
 */
export function fill(body, rows) {
  body.replaceChildren(...rows.map((cells) => {
    const line = make('tr');
    line.append(...cells.map(cell));
    return line;
  }));
}

function cell(content, at) {
  const made = make(at === 0 ? 'th' : 'td');
  if (at === 0) made.scope = 'row';
  if (content instanceof Element) made.append(content);
  else if (typeof content === 'number') made.append(content.toLocaleString());
  else made.append(content);
  const isNumber = typeof content === 'number' || (typeof content === 'string' && /^−?\$/.test(content)) || content?.dataset?.number !== undefined;
  if (isNumber) made.className = 'number';
  return made;
}

/** Makes a text that stands to the right, as numbers do. */
export function number(text) {
  const made = make('span', text);
  made.dataset.number = '';
  return made;
}

/** Makes a bar as long as its share of the longest, with its value written beside it. */
export function bar(text, value, most) {
  const made = number('');
  made.className = 'bar-cell';
  const length = make('span', '', 'length');
  length.style.width = `${most > 0 ? Math.max(0, (100 * value) / most) : 0}%`;
  length.setAttribute('aria-hidden', 'true');
  made.append(length, make('span', text));
  return made;
}

/** Fills a list of facts: `[term, value]` each. */
export function facts(list, pairs) {
  list.replaceChildren(...pairs.map(([term, value]) => {
    const pair = make('div');
    pair.append(make('dt', term), make('dd', String(value)));
    return pair;
  }));
}

/** Says what came of something. */
export function say(place, text, tone = 'good') {
  place.dataset.tone = tone;
  place.textContent = text;
}
