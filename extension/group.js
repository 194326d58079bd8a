// The owner's group of friends: made, joined, priced and left. What may be is the relay's to say.

import { fault, isNothing, make, usd, write } from './figures.js';
import { wantJson } from './line.js';
import { say } from './words.js';

const $ = (id) => document.getElementById(id);

/** The plugin whose group is shown. */
let shown;
let own = false;
/** The group's price as it is shown, which is the one that is agreed to. */
let priced;

$('join-group').addEventListener('submit', (event) => act(event, 'join_group', { code: $('group-code').value }));
$('price-group').addEventListener('submit', (event) => act(event, own ? 'price_group' : 'create_group', price()));
$('agree-group').addEventListener('click', (event) => act(event, 'agree_group', priced));
$('turn-group').addEventListener('click', (event) => act(event, 'turn_group'));
$('leave-group').addEventListener('click', (event) => (own ? $('sure-group').showModal() : act(event, 'leave_group')));
$('sure-group').addEventListener('close', (event) => $('sure-group').returnValue === 'close' && act(event, 'leave_group'));
$('copy-code').addEventListener('click', async () => {
  await navigator.clipboard.writeText($('own-code').value);
  tell('good', say('options_group_copied'));
});
// Friends join elsewhere.
addEventListener('focus', () => shown && refresh());

/** Shows the group of whoever the relay knows. */
export function paint({ plugin, consent }) {
  $('group').hidden = !consent || !plugin;
  if ($('group').hidden || plugin === shown) return;
  shown = plugin;
  refresh();
}

function refresh() {
  return ask('group').catch((error) => tell('bad', fault(error)));
}

async function act(event, what, fields) {
  event.preventDefault();
  try {
    await ask(what, fields);
    tell('', '');
  } catch (error) {
    tell('bad', error.code === 'bad_request' ? say('options_group_price_wrong') : fault(error));
  }
}

async function ask(what, fields) {
  const answer = await wantJson(what, fields);
  show(answer?.group);
}

function price() {
  return { input: $('group-input').value.trim(), output: $('group-output').value.trim() };
}

function show(group) {
  own = group?.own ?? false;
  $('join-group').hidden = Boolean(group);
  $('in-group').hidden = !group;
  $('leaving').hidden = !group;
  $('own-group').hidden = !own;
  $('price-group').hidden = Boolean(group) && !own;
  write($('price-act'), say(own ? 'options_group_price' : 'options_group_make'));
  write($('leave-group'), say(own ? 'options_group_close' : 'options_group_leave'));
  if (!group) return;
  const { input, output } = group.price;
  priced = { input, output };
  const asked = group.asked ?? priced;
  $('new-price').hidden = asked.input === input && asked.output === output;
  write($('group-asked'), say('options_group_asked', usd(asked.input), usd(asked.output)));
  const members = group.members ?? [];
  $('friends').hidden = members.length === 0;
  $('members').replaceChildren(...members.map(member));
  $('own-code').value = group.code ?? '';
  $('group-input').value = input;
  $('group-output').value = output;
  write($('group-members'), say('options_group_members', group.plugins, group.accounts));
  const isFree = isNothing(input) && isNothing(output);
  write($('group-asks'), isFree ? say('options_group_free') : say('options_group_asks', usd(input), usd(output)));
}

function member({ id, name }) {
  const line = make('li', 'row');
  line.append(make('span', 'long', name ? `${name}, ${id}` : id));
  const button = Object.assign(make('button', '', say('options_group_put_out')), { type: 'button' });
  button.setAttribute('aria-label', `${button.textContent}: ${name || id}`);
  button.addEventListener('click', (event) => act(event, 'put_out', { member: id }));
  line.append(button);
  return line;
}

function tell(tone, text) {
  $('group-outcome').dataset.tone = tone;
  write($('group-outcome'), text);
}
