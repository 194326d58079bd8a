// The hours of each weekday.

import { language } from './words.js';

const list = document.getElementById('days');
// 1 January 2024 was a Monday.
const names = Array.from({ length: 7 }, (_, day) =>
  new Date(2024, 0, 1 + day).toLocaleDateString(language, { weekday: 'long' }));

export function show(days) {
  list.replaceChildren();
  days.forEach(({ on, from, to }, at) => {
    const row = document.getElementById('day-row').content.cloneNode(true).firstElementChild;
    row.setAttribute('aria-label', names[at]);
    row.querySelector('.check span').textContent = names[at];
    row.querySelector('.on').checked = on;
    for (const [part, value] of [['from', from], ['to', to]]) {
      const field = row.querySelector(`.${part}`);
      field.value = value;
      field.dataset.field = `day:${at}`;
      field.setAttribute('aria-describedby', `day-error-${at}`);
    }
    row.querySelector('.error').id = `day-error-${at}`;
    row.querySelector('.error').dataset.error = `day:${at}`;
    list.append(row);
  });
}

export function written() {
  return [...list.children].map((row) => ({
    on: row.querySelector('.on').checked,
    from: row.querySelector('.from').value,
    to: row.querySelector('.to').value,
  }));
}
