// Disputes of answers: one is opened from a receipt, and its state is shown to whoever paid and to whoever answered.

import { unique } from './call.js';
import { texts } from './conversations.js';
import { isWhole, refused } from './fields.js';
import { call } from './holder.js';
import { make, moment, say, usd } from './write.js';

const $ = (id) => document.getElementById(id);

const REASONS = {
  wrong_model: 'Another model answered', nonsense: 'It makes no sense', truncated: 'It ends in the middle',
  offensive: 'It insults', other: 'Something else',
};

const STATES = {
  opened: 'Nobody has looked at it yet', reviewed: 'The operator looks at it', upheld: 'The charge was given back',
  rejected: 'The charge stays',
};

/** The same to the one whose answer it was. */
const OWNERS_STATES = {
  opened: (aside) => `Nobody has looked at it yet. ${aside} is set aside.`,
  reviewed: (aside) => `The operator looks at it. ${aside} is set aside.`,
  upheld: (aside) => `Decided against you. ${aside} has gone back.`,
  rejected: (aside) => `Decided for you. ${aside} is yours again.`,
};

/** For how long after its end an answer can be disputed, in milliseconds. */
const WITHIN_MS = 7 * 86_400_000;

/** The jobs that are or were disputed. */
let known = new Set();
/** The job that can be disputed. */
let offered;

$('dispute-reason').replaceChildren(...[['', 'Choose'], ...Object.entries(REASONS)].map(([value, text]) => Object.assign(make('option', text), { value })));

/** Shows what came of the account's disputes. */
export async function showDisputes() {
  const { disputes } = await call('/api/account/disputes');
  known = new Set(disputes.map(({ jobId }) => jobId));
  $('no-disputes').hidden = disputes.length > 0;
  $('disputes').replaceChildren(...disputes.map((one) => {
    const tone = { upheld: 'good', rejected: 'bad' }[one.state];
    return row(one, make('h3', `${REASONS[one.reason]}: ${usd(one.charge)}`), STATES[one.state], tone);
  }));
}

/** Gives those about a plugin's answers as lines of a list, those too that came to nothing. */
export async function about(pluginId) {
  const { disputes } = await call(`/api/plugin/disputes/${pluginId}`);
  return disputes.map((one) => {
    const tone = { upheld: 'bad', rejected: 'good' }[one.state];
    return row(one, make('h5', REASONS[one.reason]), OWNERS_STATES[one.state]?.(usd(one.setAside)), tone);
  });
}

function row({ model, told, openedAt, decidedAt }, title, state, tone) {
  const line = make('li', '', 'item');
  const head = make('div', '', 'row head');
  const where = make('span', state, 'state');
  if (tone) where.dataset.tone = tone;
  head.append(title, where);
  line.append(head, make('p', `${model}, ${moment(openedAt)}${decidedAt ? `, decided ${moment(decidedAt)}` : ''}`, 'note'));
  if (told) line.append(make('p', `The operator: ${told}`));
  return line;
}

/** Lets the job of a receipt be disputed, if it can be. */
export function offer({ jobId, paidBy, charge, givenBack, endedAt }) {
  const isOver = Date.now() - endedAt >= WITHIN_MS;
  const can = paidBy === 'account' && Number(charge) > 0 && Number(givenBack ?? 0) === 0 && !isOver && !known.has(jobId);
  $('dispute').hidden = !can;
  offered = can ? { jobId, texts: texts(jobId), once: unique() } : null;
  $('dispute-consent-shown').hidden = !offered?.texts;
  $('dispute').reset();
  sure(false);
  say($('dispute-outcome'), known.has(jobId) ? 'You have disputed this answer; see below.' : '');
}

/** Leads to the form, for whoever has come to dispute this answer; or says that it cannot be. */
export function lead() {
  if (!$('dispute').hidden) $('dispute-reason').focus();
  else if ($('dispute-outcome').textContent === '') {
    say($('dispute-outcome'), 'This answer cannot be disputed: it was free, is older than seven days, or was not paid with this account.', 'bad');
  }
}

$('dispute').addEventListener('input', () => sure(false));

function sure(is) {
  $('dispute-go').dataset.sure = is ? 'true' : '';
  $('dispute-go').textContent = is ? 'Yes, dispute it' : 'Dispute it';
}

$('dispute').addEventListener('submit', async (event) => {
  event.preventDefault();
  if (!isWhole(event.target, $('dispute-outcome'))) return;
  if (!$('dispute-go').dataset.sure) {
    sure(true);
    say($('dispute-outcome'), 'The operator and the owner of the computer read the reason, and what the answer earned is set aside. Press again to dispute it.');
    return;
  }
  const { jobId, texts: attached, once } = offered;
  const body = { jobId, reason: $('dispute-reason').value, words: $('dispute-words').value.trim() };
  if (attached && $('dispute-consent').checked) Object.assign(body, { consent: true, ...attached });
  try {
    await call('/api/account/disputes', { method: 'POST', body, once });
    await showDisputes();
    $('dispute').hidden = true;
    say($('dispute-outcome'), 'It is open. What the answer earned is set aside until the operator has decided.');
  } catch (error) {
    offered.once = unique();
    refused(event.target, error, $('dispute-outcome'));
  }
});
