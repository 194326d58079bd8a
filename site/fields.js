// Checks a form before it is sent, and says beside a field what is wrong with it.

import { make, say } from './write.js';

let marks = 0;

/**
 * Whether a form can be sent. Where it cannot, its fields say what they want, the first of them has the focus,
 * and the place says the same.
 */
export function isWhole(form, place) {
  for (const field of form.elements) {
    unmark(field);
    if (field.type === 'text' || field.type === 'url') field.value = field.value.trim();
  }
  const wrong = [...form.elements].filter((field) => field.willValidate && !field.validity.valid);
  for (const field of wrong) mark(field, why(field));
  wrong[0]?.focus();
  tell(form, place, wrong.length > 0 ? why(wrong[0]) : '');
  return wrong.length === 0;
}

/** Says of a refusal what the relay says, also beside the field that it names. */
export function refused(form, { message, field }, place) {
  const named = field && form.elements.namedItem(field);
  if (named instanceof Element && named.labels?.length > 0) {
    mark(named, message);
    named.focus();
  }
  tell(form, place, message);
}

/** Says what is wrong with a form, until it is changed. */
function tell(form, place, text) {
  say(place, text, 'bad');
  form.addEventListener('input', () => place.dataset.tone === 'bad' && say(place, ''), { once: true });
}

/** Says beside a field what is wrong with it, until it is changed. */
export function mark(field, text) {
  unmark(field);
  const word = make('span', text, 'wrong');
  word.id = `wrong-${marks += 1}`;
  // It describes the field, and is no part of its name.
  word.setAttribute('aria-hidden', 'true');
  if (field.parentElement === field.labels[0]) field.before(word);
  else field.labels[0].append(word);
  field.setAttribute('aria-invalid', 'true');
  field.setAttribute('aria-describedby', word.id);
  field.addEventListener('input', () => unmark(field), { once: true });
}

function unmark(field) {
  if (!field.hasAttribute('aria-invalid')) return;
  document.getElementById(field.getAttribute('aria-describedby'))?.remove();
  field.removeAttribute('aria-invalid');
  field.removeAttribute('aria-describedby');
}

function why(field) {
  const texts = [...field.labels[0].childNodes].filter(({ nodeType }) => nodeType === Node.TEXT_NODE);
  const title = `“${texts.map(({ data }) => data).join('').trim()}”`;
  const { valueMissing, typeMismatch } = field.validity;
  if (valueMissing) return `${title} is needed.`;
  if (field.inputMode === 'decimal') return `${title} takes an amount such as 20.00.`;
  if (typeMismatch || field.type === 'url') return `${title} takes an address that begins with https://.`;
  if (field.type === 'number') return `${title} takes a whole number from ${field.min} to ${field.max}.`;
  if (field.dataset.takes) return `${title} takes ${field.dataset.takes}.`;
  return `${title}: ${field.validationMessage}`;
}
