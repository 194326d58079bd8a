// A channel's page: follow it, and be told when it is on.

import './told.js';
import { follow, followed, isToldOf, wantTold } from './follows.js';
import { localTimes } from './times.js';
import { watch } from './watch.js';

const $ = (id) => document.getElementById(id);
const plugin = $('channel').dataset.plugin;

let isFollowed = false;

localTimes(document);
start();

async function start() {
  isFollowed = (await followed()).has(plugin);
  show();
  watch(take);
}

function take({ isWhole, providers = [], gone = [] }) {
  const own = providers.find(({ pluginId }) => pluginId === plugin);
  const hasGone = gone.includes(plugin) || (isWhole && !own);
  if (own || hasGone) {
    $('state').textContent = own ? (own.paused ? 'Paused' : 'On') : 'Off';
    $('state').dataset.tone = own && !own.paused ? 'good' : '';
    for (const link of document.querySelectorAll('.item .plain a')) link.hidden = !own || own.paused;
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
