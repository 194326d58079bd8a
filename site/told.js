// Tells of channels that come, on every page of the site that is left open.

import { inBrowser } from './kept.js';

/** Fetches what that takes only where somebody wants to be told of a channel. */
async function begin() {
  if (!inBrowser.read('told')) return;
  const { keepTelling } = await import('./follows.js');
  keepTelling();
}

begin();
// In another page somebody may have said so.
addEventListener('storage', begin);
