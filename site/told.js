// Tells of channels that come, on every page of the site that is left open.

/** Fetches what that takes only where somebody wants to be told of a channel. */
async function begin() {
  try {
    if (!localStorage.getItem('told')) return;
  } catch {
    // A browser that keeps nothing knows of none.
    return;
  }
  const { keepTelling } = await import('./follows.js');
  keepTelling();
}

begin();
// In another page somebody may have said so.
addEventListener('storage', begin);
