// Has the statement of a month saved as a file.

import { call } from './holder.js';
import { say } from './write.js';

const $ = (id) => document.getElementById(id);

/** Sets the form `#statement` up for the statements at this path. */
export function statements(path, file) {
  $('month').value = new Date().toISOString().slice(0, 7);
  $('statement').addEventListener('submit', async (event) => {
    event.preventDefault();
    const month = $('month').value;
    try {
      const text = await call(`${path}/${month}?format=csv`, { as: 'text' });
      const href = URL.createObjectURL(new Blob([text], { type: 'text/csv' }));
      Object.assign(document.createElement('a'), { href, download: `${file}-${month}.csv` }).click();
      URL.revokeObjectURL(href);
      say($('statement-outcome'), 'The statement was saved.');
    } catch ({ message }) {
      say($('statement-outcome'), message, 'bad');
    }
  });
}
