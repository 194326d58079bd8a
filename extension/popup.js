// Paints the agent's state and passes on what the owner clicks.

const $ = (id) => document.getElementById(id);

const SERVERS = {
  lm_studio: 'LM Studio',
  lm_studio_v0: 'LM Studio',
  ollama: 'Ollama',
  llama_cpp: 'llama.cpp',
  generic: 'Model server',
};

const PHASES = {
  off: ['bad', 'Not connected'],
  preparing: ['busy', 'Getting ready'],
  connecting: ['busy', 'Connecting to the relay'],
  ready: ['good', 'Ready for jobs'],
  waiting: ['warn', 'Not connected'],
};

watch();
$('settings').addEventListener('click', () => chrome.runtime.openOptionsPage());
$('agree').addEventListener('change', (event) => {
  chrome.storage.local.set({ consent: { given: event.target.checked, at: Date.now() } });
});
$('taking').addEventListener('change', (event) => {
  chrome.storage.local.set({ paused: !event.target.checked });
});

async function watch() {
  await chrome.runtime.sendMessage({ type: 'wake' });
  const port = chrome.runtime.connect({ name: 'state' });
  port.onMessage.addListener(paint);
  port.onDisconnect.addListener(() => setTimeout(watch, 500));
  $('retry').onclick = () => port.postMessage({ type: 'retry' });
}

function paint(state) {
  paintStatus(state);
  $('agree').checked = state.consent;
  $('offered').hidden = !state.consent;
  // Who said yes by the keyboard goes on at the next switch and not at the top of the page.
  if (state.consent && document.activeElement === $('agree')) $('taking').focus();
  $('consent').hidden = state.consent;
  $('here').hidden = !state.consent;
  $('taking').checked = !state.paused;
  paintEarnings(state.earnings);
  paintMachine(state);
  $('jobs-none').hidden = state.jobs.length > 0;
  paintRows($('jobs'), state.jobs, (job) => [
    job.model,
    // A rate over the first few tokens swings too far to be read.
    job.tokens < 5 ? '' : `${job.tokensPerSecond} tokens/s`,
    `${job.tokens === 0 ? 'Reading the prompt for' : `${count(job.tokens, 'token')} in`} ${count(Math.round(job.ageMs / 1000), 'second')}`,
  ]);
  $('offers').hidden = state.models.length === 0;
  paintRows($('models'), state.models, (model) => [
    model.model,
    model.tokensPerSecond === null ? '' : `${model.tokensPerSecond} tokens/s`,
    [
      model.quantization,
      `${thousands(model.context)} context`,
      `${model.slots} at once`,
      asked(model.pricing),
    ].filter(Boolean).join(' · '),
  ]);
  document.body.dataset.painted = performance.now();
}

function paintStatus(state) {
  const [tone, title, remedy] = standing(state);
  $('status').dataset.tone = tone;
  write($('title'), title);
  write($('remedy'), remedy);
  write($('retry'), state.connection.phase === 'off' ? 'Connect again' : 'Try now');
  $('retry').hidden = !(state.consent && ['off', 'waiting'].includes(state.connection.phase));
}

/** Says in one line how things stand: what keeps jobs away comes before how far the link is. */
function standing({ connection, server, consent, paused, closed, jobs }) {
  if (!consent) return ['idle', 'Off', ''];
  const [tone, title] = PHASES[connection.phase];
  const link = connection.reason?.text ?? '';
  if (connection.phase === 'off' || connection.phase === 'waiting') return [tone, title, link];
  if (server.reason?.code === 'looking') return ['busy', 'Getting ready', server.reason.text];
  if (server.reason) return ['warn', 'No models to offer', server.reason.text];
  if (paused) return ['idle', 'Paused', link];
  if (closed) return ['idle', 'Waiting', link];
  if (jobs.length > 0) return ['good', `Working on ${count(jobs.length, 'job')}`, link];
  return [tone, title, link];
}

function paintEarnings(earnings) {
  for (const span of ['today', 'total']) {
    write($(`earned-${span}`), earnings ? `$${cents(earnings[span])}` : '–');
    $(`earned-${span}`).dataset.usd = earnings?.[span] ?? '';
  }
  const held = earnings && earnings.held !== '0';
  $('held').hidden = !held;
  if (!held) return;
  const day = earnings.heldUntil && new Date(earnings.heldUntil).toLocaleDateString(undefined, { dateStyle: 'medium' });
  const until = day ? `until you are trusted, at the latest until ${day}` : 'until you are trusted';
  write($('held'), `$${cents(earnings.held)} of it is held back ${until}.`);
}

function paintMachine({ gpu, server }) {
  const name = [gpu.vendor, gpu.model].filter(Boolean).join(' ') || 'Not recognised';
  write($('gpu'), gpu.class === 'software' ? `${name} (software, no GPU)` : name);
  $('gpu').title = gpu.raw;
  const found = server.address && `${SERVERS[server.kind] ?? 'Model server'} at ${server.address.replace('http://', '')}`;
  write($('server'), found ?? 'None');
}

/** Paints a row for each item: name, figure at the right, detail below. Rows are kept and reused. */
function paintRows(list, items, texts) {
  while (list.children.length > items.length) list.lastChild.remove();
  while (list.children.length < items.length) {
    const row = document.createElement('li');
    for (const part of ['name', 'figure', 'detail quiet']) {
      row.appendChild(document.createElement('span')).className = part;
    }
    list.append(row);
  }
  items.forEach((item, at) => texts(item).forEach((text, part) => write(list.children[at].children[part], text)));
}

/** Writes only what differs, so that a screen reader is not told the same thing again. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** Prints a context as servers write it: 32768 is 32k. */
function thousands(tokens) {
  return tokens < 1024 ? String(tokens) : `${Math.round(tokens / 1024)}k`;
}

/** Says how a model is priced. */
function asked(pricing) {
  if (!pricing) return 'relay’s price';
  if (pricing.per_hour) return `$${cents(pricing.per_hour)} an hour`;
  const { input, output } = pricing.floor ?? pricing;
  return `${pricing.floor ? 'market, at least ' : ''}$${micros(input)} / $${micros(output)} per 1M`;
}

/** Prints millionths of a dollar as dollars. */
function micros(number) {
  return cents(String(number / 1e6));
}

/** Gives a decimal number of dollars at least two decimals, and takes none away. */
function cents(usd) {
  const [dollars, decimals = ''] = usd.split('.');
  return `${dollars}.${decimals.padEnd(2, '0')}`;
}
