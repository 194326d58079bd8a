// What moved the account's money, with the receipts of its jobs, and statements.

import { GPUStreamingClient } from './client/index.js';
import { offer } from './disputes.js';
import { call } from './holder.js';
import { inTab } from './kept.js';
import { statements } from './statements.js';
import { facts, fill, make, moment, say, usd } from './write.js';

const $ = (id) => document.getElementById(id);

/** How many are shown at once. */
const MANY = 50;

const KINDS = {
  settle: 'Answer', grant: 'Credit', top_up: 'Paid in', top_up_cost: 'Cost of the payment', refund: 'Paid back to the card',
  premium: 'Premium', impression: 'Ad seen', click: 'Ad clicked', cover: 'Borne for others', correction: 'Taken back',
};

let shown = [];

statements('/api/account/statements', 'rekursing');

/** Shows the latest. */
export async function showEntries() {
  shown = [];
  await more();
}

$('more').addEventListener('click', () => more());

async function more() {
  const before = shown.length > 0 ? `&before=${shown.at(-1).seq}` : '';
  const { entries } = await call(`/api/account/entries?limit=${MANY}${before}`);
  shown.push(...entries);
  $('more').hidden = entries.length < MANY;
  $('no-entries').hidden = shown.length > 0;
  $('entries-shown').hidden = shown.length === 0;
  fill($('entries'), shown.map(({ at, kind, note, jobId, in: came, out }) => [
    moment(at), [kind === 'correction' && Number(came) > 0 ? 'Given back' : (KINDS[kind] ?? kind.replaceAll('_', ' ')), note].filter(Boolean).join(': '),
    Number(came) > 0 ? usd(came) : '', Number(out) > 0 ? usd(out) : '', jobId ? opener(jobId) : '',
  ]));
}

function opener(jobId) {
  const button = make('button', 'Show');
  button.type = 'button';
  button.setAttribute('aria-label', `Show the receipt of ${jobId}`);
  button.addEventListener('click', () => receipt(jobId));
  return button;
}

/** Shows the receipt of a job. */
export async function receipt(jobId) {
  const client = new GPUStreamingClient(location.origin, { key: inTab.read('key') });
  $('receipt').hidden = false;
  $('receipt-title').focus();
  $('receipt-facts').replaceChildren();
  $('dispute').hidden = true;
  say($('dispute-outcome'), '');
  try {
    const told = await client.receipt(jobId);
    const { charge, endedAt, settlement, givenBack } = told;
    facts($('receipt-facts'), [
      ['Job', jobId],
      ['Ended', moment(endedAt)],
      ['Charged', usd(charge)],
      ['Given back', usd(givenBack ?? '0')],
      ['Model', settlement?.model ?? '–'],
      ['Answered by', settlement?.provider ?? '–'],
      ['Tokens', settlement ? `${settlement.promptTokens} in, ${settlement.answerTokens} out` : '–'],
    ]);
    offer(told);
    say($('receipt-check'), 'The relay’s signature is right.');
    return true;
  } catch ({ message }) {
    say($('receipt-check'), message, 'bad');
    return false;
  }
}
