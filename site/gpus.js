// The account's GPUs: codes to pair them, their names, and what they have earned paid out.

import { unique } from './call.js';
import { about } from './disputes.js';
import { call } from './holder.js';
import { known } from './named.js';
import { make, say, usd, write } from './write.js';

const $ = (id) => document.getElementById(id);

const WAYS = { paypal: 'PayPal', stripe: 'Stripe', usdc: 'USDC' };

/** How often it is looked whether a code was used, in milliseconds. */
const LOOK_MS = 3_000;

/** Has what was said of a GPU's answers looked up once its line comes into sight: an account may have many. */
const sight = new IntersectionObserver((lines) => {
  for (const { isIntersecting, target } of lines) {
    if (!isIntersecting) continue;
    sight.unobserve(target);
    disputes(target);
  }
}, { rootMargin: '300px' });

let looking;
/** The plugins as they were shown last. */
let shown = [];

$('pair').addEventListener('click', async () => {
  try {
    const { code, expiresAt } = await call('/api/account/pairings', { method: 'POST', body: {}, once: unique() });
    $('code').textContent = `${code.slice(0, 4)}-${code.slice(4)}`;
    $('code-shown').hidden = false;
    say($('gpus-outcome'), '');
    clearInterval(looking);
    looking = setInterval(look, LOOK_MS, expiresAt, shown.length);
  } catch ({ message }) {
    say($('gpus-outcome'), message, 'bad');
  }
});

/** Shows the account's plugins. */
export function showGpus(plugins) {
  shown = plugins;
  $('no-gpus').hidden = plugins.length > 0;
  $('gpus').replaceChildren(...plugins.map(row));
}

async function look(until, before) {
  const { plugins } = await call('/api/account/plugins').catch(() => ({ plugins: shown }));
  const paired = plugins.length > before;
  if (paired) {
    showGpus(plugins);
    say($('gpus-outcome'), 'Paired.');
  }
  if (paired || Date.now() > until) {
    clearInterval(looking);
    $('code-shown').hidden = true;
  }
}

async function again() {
  showGpus((await call('/api/account/plugins')).plugins);
}

function row(plugin) {
  const line = $('gpu-row').content.firstElementChild.cloneNode(true);
  const part = (name) => line.querySelector(`.${name}`);
  const { pluginId, name, gpu, live, revokedAt, total, available, held } = plugin;
  write(part('name'), name || known(gpu) || pluginId);
  part('live').textContent = revokedAt ? 'Key revoked' : live ? 'Live' : 'Not connected';
  part('live').dataset.live = live;
  write(part('model'), [known(gpu), pluginId].filter(Boolean).join(' · '));
  part('total').textContent = usd(total);
  part('available').textContent = usd(available);
  part('held').textContent = usd(held);
  part('revoke').hidden = Boolean(revokedAt);
  for (const act of ['pay', 'rename', 'channel', 'unpair', 'revoke']) {
    part(act).setAttribute('aria-label', `${part(act).textContent}: ${part('name').textContent}`);
  }
  const outcome = part('outcome');
  const act = (work) => async (event) => {
    event.preventDefault();
    say(outcome, '');
    try {
      await work();
    } catch ({ message }) {
      say(outcome, message, 'bad');
    }
  };
  part('rename').addEventListener('click', () => {
    part('naming').hidden = false;
    part('new-name').value = name;
    part('new-name').focus();
  });
  const path = `/api/account/plugins/${pluginId}`;
  part('naming').addEventListener('submit', act(async () => {
    await call(path, { method: 'PATCH', body: { name: part('new-name').value } });
    await again();
  }));
  /** Asks twice for what cannot be undone. */
  const sure = (button, label, warning, work) => button.addEventListener('click', act(async () => {
    if (button.dataset.sure) {
      await work();
      return again();
    }
    button.dataset.sure = 'true';
    button.textContent = label;
    button.removeAttribute('aria-label');
    say(outcome, warning);
  }));
  sure(part('unpair'), 'Unpair all the same', 'What it has earned can then be reached from its own extension alone.', () => call(path, { method: 'DELETE' }));
  sure(
    part('revoke'),
    'Revoke it for good',
    'For a device that is lost, or whose profile somebody has copied. It is disconnected at once and cannot come back, and payouts that it has asked for are stopped where they are not sent. What it has earned stays here.',
    () => call(`${path}/key`, { method: 'DELETE' }),
  );
  payouts(pluginId, part, act);
  channel(pluginId, part, act);
  line.dataset.plugin = pluginId;
  sight.observe(line);
  return line;
}

/** Shows what was said of a plugin's answers, if anything was. */
async function disputes(line) {
  const part = (name) => line.querySelector(`.${name}`);
  const lines = await about(line.dataset.plugin).catch(({ message }) => {
    say(part('outcome'), message, 'bad');
    return [];
  });
  part('disputes').replaceChildren(...lines);
  part('disputed').hidden = lines.length === 0;
}

/** Sets up how a plugin's earnings are paid out: the way, the cost, and then the payout. */
function payouts(pluginId, part, act) {
  const path = `/api/plugin/payouts/${pluginId}`;
  const once = unique();
  let quoted;
  let threshold;
  const ask = async () => {
    const { quote } = await call(path, { method: 'POST', body: { amount: 'all' } });
    quoted = quote;
    const held = quote.heldUntil ? ` The destination is new: nothing is paid to it before ${new Date(quote.heldUntil).toLocaleString('en-US')}.` : '';
    const ready = quote.ready ? '' : ' The relay has not set this way up yet; the payout waits for it.';
    part('terms').textContent = `${usd(quote.amount)} to ${quote.destination}: ${usd(quote.cost)} is the cost, ${usd(quote.arrives)} arrives.${ready}${held}`;
    part('accept').hidden = Boolean(quote.heldUntil);
    part('quote').hidden = false;
  };
  part('pay').addEventListener('click', act(async () => {
    const { method, methods } = await call(path);
    part('method').replaceChildren(...methods.map((way) => Object.assign(make('option', WAYS[way.method] ?? way.method), { value: way.method })));
    part('method').value = method?.method ?? methods[0].method;
    part('destination').value = method?.destination ?? '';
    part('schedule').value = method?.schedule ?? 'manual';
    threshold = method?.threshold;
    part('way').hidden = false;
    part('destination').focus();
    if (method) await ask();
  }));
  part('way').addEventListener('submit', act(async () => {
    const body = { method: part('method').value, destination: part('destination').value.trim(), schedule: part('schedule').value };
    part('quote').hidden = true;
    await call(`${path}/method`, { method: 'PUT', body: threshold ? { ...body, threshold } : body });
    say(part('outcome'), 'Saved.');
    // What there is may be too little to be paid out.
    await ask().catch(({ message }) => say(part('outcome'), `Saved. ${message}`));
  }));
  part('accept').addEventListener('click', act(async () => {
    const body = { amount: quoted.amount, accept: quoted.cost };
    await call(path, { method: 'POST', body, once });
    await again();
    say($('gpus-outcome'), 'The payout is on its way.');
  }));
}

/** Sets up what is shown of a plugin to everybody. */
function channel(pluginId, part, act) {
  const path = `/api/plugin/channel/${pluginId}`;
  const show = (open) => {
    part('about').value = open?.about ?? part('about').value;
    part('shows-earnings').checked = open?.showsEarnings ?? false;
    part('open-channel').textContent = open ? 'Save' : 'Open the channel';
    part('close-channel').hidden = !open;
    part('shown').hidden = !open;
    part('shown').href = `/live/${pluginId}`;
    part('showing').hidden = false;
  };
  part('channel').addEventListener('click', act(async () => {
    show((await call(path)).channel);
    part('about').focus();
  }));
  part('showing').addEventListener('submit', act(async () => {
    const body = { about: part('about').value, showsEarnings: part('shows-earnings').checked };
    show((await call(path, { method: 'PUT', body })).channel);
    say(part('outcome'), 'The channel is open.');
  }));
  part('close-channel').addEventListener('click', act(async () => {
    await call(path, { method: 'DELETE' });
    show(null);
    say(part('outcome'), 'The channel is closed.');
  }));
}
