// Follows who is on: what moves is written where it stands, and who comes and goes is fetched anew.

import './told.js';
import { localTimes } from './times.js';
import { watch } from './watch.js';

const $ = (id) => document.getElementById(id);

/** How long it is at least and at most until the whole list is looked at, in milliseconds: not everybody at once. */
const LOOK_MS = [1_000, 5_000];

let looking = 0;

localTimes(document);
watch(take);

/** Takes what has changed; `isWhole` tells that whoever is not in it is gone. */
function take({ isReached, isWhole, totals, providers = [], gone = [] }) {
  $('following').textContent = isReached ? '' : 'The relay does not answer. This page keeps trying.';
  if (!isReached) return;
  if (totals) move($('totals'), totals);
  const there = new Set(providers.map(({ pluginId }) => pluginId));
  const shown = [...$('providers').children].map(({ id }) => id);
  const isMissing = isWhole && shown.some((id) => !there.has(id));
  if (isMissing || gone.length > 0 || providers.some((provider) => !moved(provider))) look();
}

/** Writes what a provider does now. Tells whether it stands there with the same models, so that this is all. */
function moved({ pluginId, paused, channel, models }) {
  const line = document.getElementById(pluginId);
  if (!line) return false;
  const state = line.querySelector('[data-now="state"]');
  state.textContent = paused ? 'Paused' : 'On';
  state.dataset.tone = paused ? '' : 'good';
  for (const link of line.querySelectorAll('.plain a')) link.hidden = paused;
  if (channel) move(line, channel);
  const hasChannel = line.querySelector('[data-now="jobsNow"]') !== null;
  return hasChannel === Boolean(channel) && line.querySelectorAll('ul > li').length === models.length;
}

function move(place, figures) {
  for (const element of place.querySelectorAll('[data-now]')) {
    const figure = figures[element.dataset.now];
    if (typeof figure === 'number') element.textContent = figure.toLocaleString('en');
  }
}

/** Fetches the list anew, as the relay writes it. */
function look() {
  if (looking) return;
  looking = setTimeout(async () => {
    // What changes from here on is looked at once more.
    looking = 0;
    const page = await fetch('/live', { cache: 'no-store' }).then((response) => response.text()).catch(() => null);
    if (page === null) return;
    const fresh = new DOMParser().parseFromString(page, 'text/html');
    const focused = document.activeElement?.getAttribute('href');
    $('providers').replaceWith(fresh.getElementById('providers'));
    $('no-providers').hidden = $('providers').children.length > 0;
    localTimes($('providers'));
    // Whoever was at a link by the keyboard stays at it.
    if (focused) [...$('providers').querySelectorAll('a')].find((link) => link.getAttribute('href') === focused)?.focus();
  }, LOOK_MS[0] + Math.random() * (LOOK_MS[1] - LOOK_MS[0]));
}


