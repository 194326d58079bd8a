// Which channels somebody follows: in this browser, and by his account where a key is in this tab.

import { call } from './holder.js';
import { inBrowser, inTab } from './kept.js';
import { listens, watch } from './watch.js';

const FOLLOWED = 'followed';
const TOLD = 'told';

/** Who was on when it was looked last, so that only who comes is told of. */
let on = null;
let isTelling = false;

function read(name) {
  try {
    const list = JSON.parse(inBrowser.read(name) ?? '[]');
    return new Set(Array.isArray(list) ? list.filter((id) => typeof id === 'string') : []);
  } catch {
    return new Set();
  }
}

function change(name, id, isIn) {
  const list = read(name);
  if (isIn) list.add(id);
  else list.delete(id);
  inBrowser.write(name, JSON.stringify([...list]));
}

const hasKey = () => Boolean(inTab.read('key'));

/** Tells which channels are followed here, with those that the account follows. */
export async function followed() {
  if (hasKey()) {
    const { followed: list } = await call('/api/live/followed').catch(() => ({ followed: [] }));
    list.forEach((id) => change(FOLLOWED, id, true));
  }
  return read(FOLLOWED);
}

/** Follows a channel, or no more. An account's following is counted for its owner to see. */
export async function follow(id, isFollowed) {
  if (hasKey()) await call(`/api/live/channels/${id}/follower`, { method: isFollowed ? 'PUT' : 'DELETE' });
  change(FOLLOWED, id, isFollowed);
  if (!isFollowed) change(TOLD, id, false);
}

/** Tells whether the reader wants to be told when a channel is on. */
export const isToldOf = (id) => read(TOLD).has(id);

/** Wants to be told, or no more. Gives false where the browser does not allow it. */
export async function wantTold(id, isWanted) {
  if (isWanted && (await Notification.requestPermission()) !== 'granted') return false;
  change(TOLD, id, isWanted);
  keepTelling();
  return true;
}

/** Tells of channels that come while a page of the site is open, from when on somebody wants to be told of one. */
export function keepTelling() {
  if (isTelling || read(TOLD).size === 0) return;
  isTelling = true;
  watch(tell);
}

function tell({ isReached, isWhole, providers = [], gone = [] }) {
  if (!isReached) return;
  const ids = providers.map(({ pluginId }) => pluginId);
  const wanted = read(TOLD);
  // Of all open pages one tells.
  if (on && listens() && globalThis.Notification?.permission === 'granted') {
    for (const { pluginId, name } of providers) {
      if (!wanted.has(pluginId) || on.has(pluginId)) continue;
      const note = new Notification(`${name || 'A provider that you follow'} is on`, { tag: pluginId });
      note.addEventListener('click', () => open(`/live/${pluginId}`));
    }
  }
  on = new Set([...(isWhole ? [] : (on ?? [])), ...ids]);
  gone.forEach((id) => on.delete(id));
}
