// Figures as owners read them. Amounts are decimal texts of the relay and are never made numbers
// but to draw them.

import { language, moneyParts, number, say, sentence } from './words.js';

/** Prints a decimal number of dollars with at least two decimals, and takes none away. */
export function usd(text) {
  return moneyParts(text).map(({ value }) => value).join('');
}

/** Prints micro-dollars as dollars. */
export function micros(number) {
  return usd((number / 1e6).toFixed(6).replace(/\.?0+$/, ''));
}

/** Says how a model is priced. */
export function asked(pricing) {
  if (!pricing) return say('price_relay');
  if (pricing.per_hour) return say('price_hour', usd(pricing.per_hour));
  const { input, output } = pricing.floor ?? pricing;
  return say(pricing.floor ? 'price_market' : 'price_sides', micros(input), micros(output));
}

export function isNothing(text) {
  return Number(text) === 0;
}

/** Prints seconds. */
export function seconds(value) {
  return new Intl.NumberFormat(language, { style: 'unit', unit: 'second', unitDisplay: 'narrow' }).format(value);
}

/** Prints a context as servers write it: 32768 is 32k. */
export function thousands(tokens) {
  return tokens < 1024 ? String(tokens) : `${number(Math.round(tokens / 1024))}k`;
}

export function moment(millis) {
  return new Date(millis).toLocaleString(language, { dateStyle: 'medium', timeStyle: 'short' });
}

export function date(millis) {
  return new Date(millis).toLocaleDateString(language, { dateStyle: 'medium' });
}

/** Prints a day of UTC, `2026-03-01`, as its date. */
export function utcDay(day, style = { day: 'numeric', month: 'short' }) {
  return new Date(`${day}T00:00:00Z`).toLocaleDateString(language, { timeZone: 'UTC', ...style });
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
  element.classList.toggle('dollars', Math.abs(Number(text)) >= 1);
  element.title = whole;
  const parts = moneyParts(text).flatMap(({ type, value }) =>
    type === 'fraction' ? [value.slice(0, 2), make('small', '', value.slice(2))] : [value]);
  element.replaceChildren(...parts);
}

/** Names a GPU. */
export function gpuName(gpu) {
  const name = [gpu.vendor, gpu.model].filter(Boolean).join(' ') || say('gpu_unknown');
  return gpu.class === 'software' ? say('gpu_software', name) : name;
}

/** Says what went wrong with what was wanted of the relay. */
export function fault({ code, message }) {
  return sentence({ code, text: message }, 'error');
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
