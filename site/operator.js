// The operator's page: the business on one screen. All figures are the relay's.

import { caller, unique } from './call.js';
import { door } from './door.js';
import { isWhole, refused } from './fields.js';
import { known } from './named.js';
import { bar, day, exact, facts, fill, lasted, make, moment, number, permille, say, standing, sum, usd, write } from './write.js';

const $ = (id) => document.getElementById(id);
const call = caller('operator');

/** How often what happens at the moment is looked at, in milliseconds. */
const LOOK_MS = 10_000;

let looking;

door('operator', async () => {
  // What needs the token comes first, so that a wrong one is told as that.
  await business();
  await Promise.all([now(), payouts(), disputes(), campaigns(), switches(), log()]);
  clearInterval(looking);
  looking = setInterval(() => document.hidden || now().catch(() => {}), LOOK_MS);
});

$('span').addEventListener('change', () => business());

/** Shows what came in, and where the money is. */
async function business() {
  const from = new Date(Date.now() - (Number($('span').value) - 1) * 86_400_000).toISOString().slice(0, 10);
  const sums = await call(`/api/analytics/revenue?from=${from}`);
  facts($('sums'), [
    ['Revenue', sum(sums.revenue)],
    ['Fees', sum(sums.fees)],
    ['Ads', sum(sums.ads)],
    ['Premium', sum(sums.premium)],
    ['Jobs', sums.jobs.toLocaleString()],
    ['Free answers', sums.freeJobs.toLocaleString()],
    ['What they cost', sum(sums.freeCost)],
    ['Ads that were seen, of what could have been', permille(sums.fillPermille)],
    ['Clicks on what was seen', permille(sums.clickPermille)],
    ['Ads bring per 1,000 free answers', sums.perThousandAnswers === null ? '–' : sum(sums.perThousandAnswers)],
  ]);
  const isEmpty = sums.days.length === 0 && sums.models.length === 0;
  $('no-days').hidden = !isEmpty;
  $('days-shown').hidden = isEmpty;
  const most = Math.max(0, ...sums.days.map(({ revenue }) => Number(revenue)));
  fill($('days'), sums.days.toReversed().map((one) => [
    day(one.day), bar(sum(one.revenue), Number(one.revenue), most), sum(one.fees), sum(one.ads), sum(one.premium), one.jobs, sum(one.freeCost),
  ]));
  fill($('by-model'), sums.models.map((one) => [
    one.model, one.jobs, one.promptTokens + one.answerTokens, sum(one.charge), sum(one.fees), sum(one.freeCost),
  ]));
  fill($('cash'), Object.entries(CASH).map(([name, title]) => [title, exact(sums.cash[name])]));
}

const CASH = {
  platform: 'The platform’s own',
  free: 'For free answers',
  escrow: 'Set aside for jobs that run',
  owners: 'Owners, to be paid out',
  ownersHeld: 'Owners, held back',
  ownersDisputed: 'Owners, set aside for disputes',
  payoutsRequested: 'Payouts that were asked for',
  payoutsSent: 'Payouts that were sent',
  advertisers: 'Advertisers',
  pages: 'Accounts',
  shortfall: 'Money that left and nobody had',
  outside: 'Outside',
};

/** Shows what happens at this moment. */
async function now() {
  const [stats, counts, health] = await Promise.all([call('/api/plugin/stats'), metrics(), healthy()]);
  $('health').textContent = HEALTH[health] ?? health;
  $('health').dataset.tone = health === 'ok' ? 'good' : 'bad';
  const one = (name) => counts.find((count) => count.name === name)?.value ?? 0;
  facts($('now'), [
    ['Providers connected', stats.plugins.toLocaleString()],
    ['Jobs that run', stats.jobsRunning.toLocaleString()],
    ['Jobs that wait', stats.jobsWaiting.toLocaleString()],
    ['Places for jobs', stats.slots.toLocaleString()],
    ['Answered since the start', stats.jobsCompleted.toLocaleString()],
    ['Rest after failures', one('rekursing_sessions_parked').toLocaleString()],
    ['Lost their connection, may come back', one('rekursing_sessions_suspended').toLocaleString()],
    ['Holds open for too long', one('rekursing_holds_overdue').toLocaleString()],
    ['Payouts that got stuck', one('rekursing_payouts_stuck').toLocaleString()],
    ['Last audit', one('rekursing_audit_entries') === 0 ? 'None yet' : one('rekursing_audit_ok') === 1 ? 'Every rule was kept' : 'A rule was broken'],
  ]);
  const errors = counts.flatMap(({ name, labels, value }) => {
    const what = ERRORS[name];
    return what && value > 0 ? [[labels.code ?? labels.why ?? '–', what, value]] : [];
  }).sort(([, , fewer], [, , more]) => more - fewer);
  $('no-errors').hidden = errors.length > 0;
  $('errors-shown').hidden = errors.length === 0;
  fill($('errors'), errors);
  $('no-providers').hidden = stats.sessions.length > 0;
  $('providers-shown').hidden = stats.sessions.length === 0;
  fill($('providers'), stats.sessions.map((session) => {
    const { name, pluginId, gpu, models, slots, paused, successRate, uptimeSeconds } = session;
    const speeds = models.map(({ tokensPerSecond }) => tokensPerSecond ?? 0);
    const fastest = Math.max(0, ...speeds);
    return [
      `${name || pluginId}${paused ? ' (paused)' : ''}`, known(gpu) || '–', models.map(({ id }) => id).join(', '),
      number(fastest > 0 ? fastest.toFixed(1) : '–'), number(permille(successRate * 1_000)), slots, number(lasted(uptimeSeconds)),
    ];
  }));
}

const HEALTH = {
  ok: 'All is well',
  draining: 'The relay is about to stop and takes no jobs',
  store_unavailable: 'The database cannot be written, so no jobs are taken',
  book_wrong: 'The ledger does not add up, so no jobs are taken',
};

const ERRORS = {
  rekursing_jobs_refused_total: 'Request refused',
  rekursing_jobs_failed_total: 'Answer broke off',
  rekursing_bad_frames_total: 'Frame that broke the rules',
  rekursing_answers_without_ad_total: 'Free answer without an ad',
};

async function healthy() {
  const response = await fetch('/healthz', { cache: 'no-store' });
  return (await response.json()).status;
}

/** Reads Prometheus' text format: `{name, labels, value}` each. */
async function metrics() {
  const text = await (await fetch('/metrics', { cache: 'no-store' })).text();
  return text.split('\n').flatMap((line) => {
    const [, name, inner = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (!name) return [];
    const labels = Object.fromEntries([...inner.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, is]) => [key, is]));
    return [{ name, labels, value: Number(value) }];
  });
}

/** Writes a provider's id, and behind it what he calls himself: that may look like another's id. */
const called = ({ pluginId, name }) => (name ? `${pluginId} (“${name}”)` : pluginId);

/** Shows the payouts that have not ended. */
async function payouts() {
  const { payouts: all } = await call('/api/operator/payouts');
  $('no-payouts').hidden = all.length > 0;
  $('payouts').replaceChildren(...all.map(payout));
}

const WAYS = { paypal: 'PayPal', stripe: 'Stripe', usdc: 'USDC' };
const STATES = { requested: 'Asked for', sent: 'Sent' };

function payout({ payoutId, pluginId, name, method, destination, amount, arrives, state, approved, requestedAt, reason, tries, stuck, sending, nextTryAt }) {
  const line = $('payout-row').content.firstElementChild.cloneNode(true);
  const part = (name) => line.querySelector(`.${name}`);
  part('what').textContent = `${usd(amount)} by ${WAYS[method] ?? method}`;
  part('state').textContent = stuck ? 'Look at it' : sending ? 'Being sent' : (STATES[state] ?? state);
  part('state').dataset.tone = stuck ? 'bad' : 'good';
  write(part('about'), `To ${destination}, ${usd(arrives)} arrives. ${called({ pluginId, name })}, ${moment(requestedAt)}.`);
  part('why').textContent = [reason && `Why: ${reason}.`, tries > 0 && `Tried ${tries} times.`, nextTryAt && `Tried again ${moment(nextTryAt)}.`].filter(Boolean).join(' ');
  part('approve').hidden = approved || state !== 'requested';
  part('refuse').hidden = state !== 'requested';
  for (const act of ['approve', 'refuse']) part(act).setAttribute('aria-label', `${part(act).textContent}: ${part('what').textContent}`);
  const path = `/api/operator/payouts/${payoutId}`;
  const once = unique();
  const act = (work, done) => async (event) => {
    event.preventDefault();
    try {
      await work();
      await Promise.all([payouts(), log()]);
      say($('payouts-outcome'), done);
    } catch ({ message }) {
      say($('payouts-outcome'), message, 'bad');
    }
  };
  part('approve').addEventListener('click', act(() => call(`${path}/approve`, { method: 'POST', body: {}, once }), 'Approved.'));
  part('refuse').addEventListener('click', () => {
    part('reason').hidden = false;
    part('text').focus();
  });
  const back = () => call(`${path}/cancel`, { method: 'POST', body: { reason: part('text').value }, once });
  part('reason').addEventListener('submit', act(back, 'Given back to its owner.'));
  return line;
}

const REASONS = {
  wrong_model: 'Another model answered', nonsense: 'It makes no sense', truncated: 'It ends in the middle',
  offensive: 'It insults', other: 'Something else',
};

const DECIDED = { upheld: 'Charge given back', rejected: 'Charge stays' };

/** Shows the disputes that are undecided, and those that were decided last. */
async function disputes() {
  const { disputes: all } = await call('/api/operator/disputes');
  const open = all.filter(({ decidedAt }) => decidedAt === null);
  $('no-disputes').hidden = open.length > 0;
  $('disputes').replaceChildren(...open.map(dispute));
  const decided = all.filter(({ decidedAt }) => decidedAt !== null);
  $('decided-shown').hidden = decided.length === 0;
  fill($('decided'), decided.map(({ decidedAt, state, reason, model, charge, told }) => [
    moment(decidedAt), DECIDED[state] ?? state, REASONS[reason], model, usd(charge), told,
  ]));
}

function dispute(one) {
  const { jobId, account, model, charge, setAside, reason, words, state, openedAt, attached } = one;
  const line = $('dispute-row').content.firstElementChild.cloneNode(true);
  const part = (name) => line.querySelector(`.${name}`);
  part('what').textContent = `${REASONS[reason]}: ${usd(charge)}`;
  part('state').textContent = state === 'opened' ? 'New' : 'You look at it';
  part('state').dataset.tone = state === 'opened' ? 'bad' : '';
  write(part('about'), `${jobId} with ${model}. ${account} paid, ${called(one)} answered, ${moment(openedAt)}.`);
  part('money').textContent = `${usd(setAside)} of what it earned are set aside.`;
  part('words').textContent = words;
  part('words').hidden = words === '';
  part('attached').textContent = attached
    ? 'What is attached is deleted once you decide.' : 'Nothing is attached: there are hashes.';
  part('show').textContent = attached ? 'Show question and answer' : 'Show hashes';
  const path = `/api/operator/disputes/${jobId}`;
  const take = (step, done) => async (event) => {
    event.preventDefault();
    try {
      await call(`${path}/${step}`, { method: 'POST', body: { words: part('text').value }, once: unique() });
      say($('disputes-outcome'), done);
      await Promise.all([disputes(), business(), log()]);
    } catch ({ message }) {
      say($('disputes-outcome'), message, 'bad');
    }
  };
  part('show').addEventListener('click', async () => {
    try {
      const { dispute: { earned, hashes, prompt, answer } } = await call(path);
      part('money').textContent = `Of the ${usd(earned)} that were earned ${usd(setAside)} are set aside.`;
      facts(part('texts'), [
        [prompt === null ? 'Hash of the question' : 'Question', prompt ?? hashes.prompt ?? 'not kept'],
        [answer === null ? 'Hash of the answer' : 'Answer', answer ?? hashes.answer ?? 'not kept'],
      ]);
    } catch ({ message }) {
      say($('disputes-outcome'), message, 'bad');
    }
  });
  part('review').hidden = state !== 'opened';
  part('decision').hidden = state === 'opened';
  part('review').addEventListener('click', take('review', 'Noted that you look at it.'));
  part('uphold').addEventListener('click', take('uphold', `${usd(charge)} were given back.`));
  part('reject').addEventListener('click', take('reject', 'The charge stays.'));
  return line;
}

/** Shows everybody's campaigns, with a button to pause each and let it go on. */
async function campaigns() {
  const { campaigns: all } = await call('/api/ads/campaigns');
  $('no-campaigns').hidden = all.length > 0;
  $('campaigns-shown').hidden = all.length === 0;
  fill($('campaigns'), all.map(({ id, title, state, paused, spent, budget, impressions, clicks }) => {
    const button = make('button', paused ? 'Let it run' : 'Pause');
    button.type = 'button';
    button.setAttribute('aria-label', `${button.textContent}: ${title}`);
    button.addEventListener('click', async () => {
      try {
        await call(`/api/ads/campaigns/${id}`, { method: 'PATCH', body: { paused: !paused }, once: unique() });
        await Promise.all([campaigns(), log()]);
        say($('campaigns-outcome'), `${title}: ${paused ? 'runs' : 'paused'}.`);
      } catch ({ message }) {
        say($('campaigns-outcome'), message, 'bad');
      }
    });
    return [title, standing(state), exact(spent), exact(budget), impressions, clicks, button];
  }));
}

const SWITCHES = {
  free_answers: ['Free answers', 'Who has no API key gets no answer.'],
  ads: ['Ads', 'No ad stands beside an answer, and nobody makes a campaign.'],
  payouts: ['Payouts', 'None is asked for, none that waits is sent. What was sent is looked after.'],
  top_ups: ['Payments of accounts', 'Nobody pays in. What was paid before is still booked.'],
  registrations: ['New computers and pairings', 'Who is known stays and works on.'],
  agents: ['What is for agents', 'No tools, no rating, and nobody leaves model and tier to the relay.'],
  channels: ['Channels', 'Nobody is shown at work, and there are no leaders. Channels are kept.'],
};

/** Shows what can be switched off, with a button for each. */
async function switches(told) {
  const { switches: all } = told ?? await call('/api/operator/switches');
  fill($('switches'), all.map(({ name, on }) => {
    const [title, off] = SWITCHES[name] ?? [name, ''];
    const button = make('button', on ? 'Switch off' : 'Switch on');
    button.type = 'button';
    button.dataset.name = name;
    button.setAttribute('aria-label', `${button.textContent}: ${title}`);
    button.addEventListener('click', async () => {
      try {
        await switches(await call(`/api/operator/switches/${name}`, { method: 'PUT', body: { on: !on } }));
        // The one that was clicked is another now.
        document.querySelector(`#switches [data-name="${name}"]`).focus();
        say($('switches-outcome'), `${title}: ${on ? 'switched off' : 'switched on'}.`);
        await log();
      } catch ({ message }) {
        say($('switches-outcome'), message, 'bad');
      }
    });
    return [title, off, on ? 'On' : 'Off', button];
  }));
}

let credited = unique();

$('credit').addEventListener('submit', async (event) => {
  event.preventDefault();
  if (!isWhole(event.target, $('credit-outcome'))) return;
  const [account, amount, note] = ['account', 'amount', 'note'].map((name) => $(`credit-${name}`).value.trim());
  try {
    const body = note ? { account, amount, note } : { account, amount };
    const given = await call('/api/operator/grants', { method: 'POST', body, once: credited });
    credited = unique();
    event.target.reset();
    say($('credit-outcome'), `${usd(given.amount)} was given; ${given.account} has ${usd(given.balance)}.`);
    await Promise.all([business(), log()]);
  } catch (error) {
    refused(event.target, error, $('credit-outcome'));
  }
});

/** Shows what the operator did. */
async function log() {
  const { log: lines } = await call('/api/operator/log?limit=50');
  $('no-log').hidden = lines.length > 0;
  $('log-shown').hidden = lines.length === 0;
  fill($('log'), lines.map(({ at, who, what, about, amount, note }) => [
    moment(at), who, what.replaceAll('_', ' '), about ?? '', amount === undefined || amount === null ? '' : usd(amount), note ?? '',
  ]));
}
