// The groups of friends that the account is in.

import { call } from './holder.js';
import { make, say, usd } from './write.js';

const $ = (id) => document.getElementById(id);

/** Shows the groups. */
export function showGroups(groups) {
  $('groups').replaceChildren(...groups.map((group) => {
    const { id, price, models, through } = group;
    const line = make('li', '', 'item');
    const isFree = Number(price.input) === 0 && Number(price.output) === 0;
    const costs = isFree ? 'For nothing' : `${usd(price.input)} in, ${usd(price.output)} out for a million tokens`;
    line.append(
      make('h3', costs),
      make('p', models.length > 0 ? models.join(', ') : 'No model at this moment.', 'note'),
    );
    if (through) line.append(make('p', `By your GPU ${through}.`, 'note'));
    else line.append(leaver(id));
    return line;
  }));
}

function leaver(id) {
  const button = make('button', 'Leave');
  button.type = 'button';
  button.addEventListener('click', () => change(() => call(`/api/account/groups/${id}`, { method: 'DELETE' }), 'You have left the group.'));
  return button;
}

$('join').addEventListener('submit', (event) => {
  event.preventDefault();
  const body = { code: $('group-code').value.trim() };
  change(() => call('/api/account/groups', { method: 'POST', body }), 'You are in the group.');
});

async function change(work, done) {
  try {
    await work();
    showGroups((await call('/api/account')).groups);
    $('group-code').value = '';
    say($('groups-outcome'), done);
  } catch ({ message }) {
    say($('groups-outcome'), message, 'bad');
  }
}
