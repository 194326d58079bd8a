// The team that the account's GPUs are counted in.

import { call } from './holder.js';
import { say } from './write.js';

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
}

$('team-found').addEventListener('submit', (event) => {
  event.preventDefault();
  change(() => call(PATH, { method: 'POST', body: { name: $('team-new').value.trim() } }), 'The team is founded.');
});
$('team-join').addEventListener('submit', (event) => {
  event.preventDefault();
  change(() => call(PATH, { method: 'PUT', body: { code: $('team-typed').value.trim() } }), 'You are in the team.');
});
$('team-leave').addEventListener('click', () => change(() => call(PATH, { method: 'DELETE' }), 'You have left the team.'));

async function change(work, done) {
  try {
    await work();
    await showTeam();
    say($('team-outcome'), done);
  } catch ({ message }) {
    say($('team-outcome'), message, 'bad');
  }
}
