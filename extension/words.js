// Words in the owner's language: the messages of _locales, with numbers, money and times as that
// language writes them. The worker uses it too; the agent's own document has no messages to give.

const find = (key, values) => globalThis.chrome?.i18n?.getMessage(key, values) ?? '';

const spoken = find('language') || 'en';
const browsers = globalThis.chrome?.i18n?.getUILanguage?.() ?? '';

/** The language of the messages, with the browser's region where that is its language too. */
export const language = browsers.split('-')[0] === spoken ? browsers : spoken;

/** Whether the messages are read from right to left. Where Chrome's language has none, they are English. */
const isMirrored = language === browsers && find('@@bidi_dir') === 'rtl';

const numbers = new Intl.NumberFormat(language);
const money = new Intl.NumberFormat(language, {
  style: 'currency', currency: 'USD', currencyDisplay: 'narrowSymbol', minimumFractionDigits: 2, maximumFractionDigits: 9,
});
const plurals = new Intl.PluralRules(language);
const clock = new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit' });
const days = new Intl.RelativeTimeFormat(language, { numeric: 'auto' });

/** Gives the message of a key with these values in it. Numbers are written as the language writes them. */
export function say(key, ...values) {
  return find(key, values.map((value) => (typeof value === 'number' ? number(value) : apart(value))));
}

/** Gives the message of a key for so many things, the number being its first value: `key_one` or `key_other`. */
export function sayMany(key, many, ...values) {
  return say(plural(key, many), many, ...values);
}

/** Says a sentence of the agent: its message, or the sentence that came with it where there is none. */
export function sentence(said, family = '') {
  if (!said) return '';
  const { code, key = `${family}_${code}`, values = [], text = '' } = said;
  const many = values.find((value) => 'count' in value)?.count;
  return find(many === undefined ? key : plural(key, many), values.map(written)) || text;
}

/** Writes a number. */
export function number(value) {
  return numbers.format(value);
}

/** Gives the parts of an amount of dollars, which is a decimal text and is made no number. */
export function moneyParts(text) {
  return money.formatToParts(text);
}

/** Lists names. */
export function list(names) {
  return new Intl.ListFormat(language).format(names.map(apart));
}

function plural(key, many) {
  const one = `${key}_${plurals.select(many)}`;
  return find(one) ? one : `${key}_other`;
}

/** Writes a value of the agent: `{text}`, `{number}`, `{count}` or `{at}`, a moment to come. */
function written({ text, number: value, count = value, at }) {
  if (text !== undefined) return apart(text);
  return at === undefined ? number(count) : soon(at);
}

/** Says a moment to come: its time of day, and its day where that is another one. */
function soon(millis) {
  const day = (at) => new Date(at).setHours(0, 0, 0, 0);
  const away = Math.round((day(millis) - day(Date.now())) / 86_400_000);
  return away === 0 ? clock.format(millis) : say('clock_on_day', clock.format(millis), days.format(away, 'day'));
}

/** Keeps a foreign text from turning the sentence around it. */
function apart(text) {
  return isMirrored ? `\u2068${text}\u2069` : text;
}

/** Puts the messages into a page: `data-msg` names that of an element, `data-msg-title` that of an attribute. */
function fill(root) {
  for (const element of root.querySelectorAll('[data-msg]')) {
    // What stands between asterisks belongs to the elements inside, in their order.
    const parts = say(element.dataset.msg).split('*');
    const inner = [...element.children];
    if (inner.length === 0) element.textContent = parts.join('');
    else element.replaceChildren(...parts.map((part, at) => (at % 2 ? named(inner.shift(), part) : part)));
  }
  for (const attribute of ['title', 'aria-label', 'placeholder']) {
    for (const element of root.querySelectorAll(`[data-msg-${attribute}]`)) {
      element.setAttribute(attribute, say(element.getAttribute(`data-msg-${attribute}`)));
    }
  }
}

function named(element, text) {
  element.textContent = text;
  return element;
}

if (globalThis.document && find('language')) {
  document.documentElement.lang = language;
  document.documentElement.dir = isMirrored ? 'rtl' : 'ltr';
  // The pages are written in English.
  if (spoken !== 'en') [document, ...[...document.querySelectorAll('template')].map(({ content }) => content)].forEach(fill);
}
