// The owner's group of friends: made, joined, priced and left. What may be is the relay's to say.

import { fault, isNothing, usd, write } from './figures.js';
import { wantJson } from './line.js';
import { say } from './words.js';

const $ = (id) => document.getElementById(id);

/** The plugin whose group is shown. */
let shown;
let own = false;

$('join-group').addEventListener('submit', (event) => act(event, 'join_group', { code: $('group-code').value }));
$('price-group').addEventListener('submit', (event) => act(event, own ? 'price_group' : 'create_group', price()));
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
  $('own-code').value = group.code ?? '';
  $('group-input').value = input;
  $('group-output').value = output;
  write($('group-members'), say('options_group_members', group.plugins, group.accounts));
  const isFree = isNothing(input) && isNothing(output);
  write($('group-asks'), isFree ? say('options_group_free') : say('options_group_asks', usd(input), usd(output)));
}

function tell(tone, text) {
  $('group-outcome').dataset.tone = tone;
  write($('group-outcome'), text);
}
