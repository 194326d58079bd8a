// The team that the account's GPUs are counted in.

import { call } from './holder.js';
import { twice } from './twice.js';
import { make, moment, say, write } from './write.js';

const PATH = '/api/account/team';
const $ = (id) => document.getElementById(id);

/** Shows the team. */
export async function showTeam() {
  const { team } = await call(PATH);
  $('team').hidden = !team;
  $('no-team').hidden = Boolean(team);
  if (!team) return;
  $('team-name').textContent = `${team.name}, ${team.members === 1 ? 'one account' : `${team.members} accounts`}`;
  $('team-code').textContent = team.code;
  $('team-turn').hidden = !team.own;
  relax();
  $('team-others').replaceChildren(...(team.others ?? []).map(other));
}

function other({ account, since }) {
  const line = make('li', '', 'item');
  const button = make('button', 'Remove');
  button.type = 'button';
  button.setAttribute('aria-label', `Remove ${account}`);
  const done = 'Removed. The team has a new code.';
  button.addEventListener('click', () => change(() => call(`${PATH}/members/${account}`, { method: 'DELETE' }), done));
  const member = make('p');
  write(member, `${account}, since ${moment(since)}`);
  line.append(member, button);
  return line;
}

$('team-found').addEventListener('submit', (event) => {
  event.preventDefault();
  change(() => call(PATH, { method: 'POST', body: { name: $('team-new').value.trim() } }), 'The team is founded.');
});
$('team-join').addEventListener('submit', (event) => {
  event.preventDefault();
  change(() => call(PATH, { method: 'PUT', body: { code: $('team-typed').value.trim() } }), 'You are in the team.');
});
$('team-turn').addEventListener('click', () => change(() => call(`${PATH}/code`, { method: 'POST', body: {} }), 'The team has a new code.'));
// Only its code lets somebody in again.
const relax = twice($('team-leave'), () => 'Yes, leave it', () => {
  change(() => call(PATH, { method: 'DELETE' }), 'You have left the team.');
});

async function change(work, done) {
  try {
    await work();
    await showTeam();
    say($('team-outcome'), done);
  } catch ({ message }) {
    say($('team-outcome'), message, 'bad');
  }
}
