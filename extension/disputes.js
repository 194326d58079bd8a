// What pages say of answers of this owner's that were wrong, and what the operator of the relay has decided.

import { fault, make, moment, usd, write } from './figures.js';
import { wantJson } from './line.js';
import { say } from './words.js';

const $ = (id) => document.getElementById(id);

const REASONS = {
  wrong_model: 'disputes_wrong_model',
  nonsense: 'disputes_nonsense',
  truncated: 'disputes_truncated',
  offensive: 'disputes_offensive',
  other: 'disputes_other',
};

const STATES = {
  opened: ['', 'disputes_opened'],
  reviewed: ['', 'disputes_reviewed'],
  upheld: ['bad', 'disputes_upheld'],
  rejected: ['good', 'disputes_rejected'],
};

/** Shows the disputes of what this plugin has answered, those too that came to nothing. */
export async function showDisputes() {
  try {
    const { disputes } = await wantJson('disputes');
    write($('disputes-notice'), '');
    $('disputes').replaceChildren(...disputes.map(row));
  } catch (error) {
    write($('disputes-notice'), fault(error));
  }
  $('disputes-shown').hidden = $('disputes').children.length === 0 && $('disputes-notice').textContent === '';
}

function row({ model, reason, state, told, openedAt, decidedAt, setAside }) {
  const line = make('li');
  // What a later relay says and this version does not know stands as it is.
  const [tone, key] = Object.hasOwn(STATES, state) ? STATES[state] : [];
  const named = Object.hasOwn(REASONS, reason) ? say(REASONS[reason]) : reason;
  const stands = make('p', '', key ? say(key, usd(setAside)) : state);
  if (tone) stands.dataset.tone = tone;
  const when = decidedAt ? say('disputes_when_decided', moment(openedAt), moment(decidedAt)) : moment(openedAt);
  line.append(make('h3', '', named), make('p', 'quiet', `${model}, ${when}`), stands);
  if (told) line.append(make('p', '', `${say('disputes_told')} ${told}`));
  return line;
}
