// A channel's page: follow it, and be told when it is on.

import { follow, followed, gone, isToldOf, tellOf, wantTold } from './follows.js';
import { localTimes } from './times.js';

const $ = (id) => document.getElementById(id);
const plugin = $('channel').dataset.plugin;

let isFollowed = false;

localTimes(document);
start();

async function start() {
  isFollowed = (await followed()).has(plugin);
  show();
  const source = new EventSource('/api/live');
  for (const name of ['live', 'changes']) {
    source.addEventListener(name, ({ data }) => take(JSON.parse(data), name === 'live'));
  }
}

function take({ providers = [], gone: left = [] }, isWhole) {
  const own = providers.find(({ pluginId }) => pluginId === plugin);
  const hasGone = left.includes(plugin) || (isWhole && !own);
  if (hasGone) gone([plugin]);
  tellOf(own ? [own] : []);
  if (own || hasGone) {
    $('state').textContent = own ? 'On' : 'Off';
    $('state').dataset.tone = own ? 'good' : '';
  }
  for (const element of own?.channel ? document.querySelectorAll('.item [data-now]') : []) {
    const figure = own.channel[element.dataset.now];
    if (typeof figure === 'number') element.textContent = figure.toLocaleString('en');
  }
}

function show() {
  $('follow').hidden = false;
  $('follow').textContent = isFollowed ? 'Follow no more' : 'Follow';
  $('notify').hidden = !isFollowed || !('Notification' in globalThis);
  $('notify').textContent = isToldOf(plugin) ? 'Tell me no more' : 'Tell me when it is on';
}

$('follow').addEventListener('click', async () => {
  try {
    await follow(plugin, !isFollowed);
    isFollowed = !isFollowed;
    $('outcome').textContent = isFollowed ? 'You follow this channel, in this browser.' : '';
  } catch ({ message }) {
    $('outcome').textContent = message;
  }
  show();
});

$('notify').addEventListener('click', async () => {
  const isWanted = !isToldOf(plugin);
  const isAllowed = await wantTold(plugin, isWanted);
  if (!isAllowed) $('outcome').textContent = 'The browser does not let this page tell you. You can change that in its settings for this page.';
  else $('outcome').textContent = isWanted ? 'You are told while a page of this site is open.' : '';
  show();
});
