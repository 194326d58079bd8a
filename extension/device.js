// The device key of each relay: Ed25519, made here, kept in this origin's IndexedDB and never shown to
// anybody, this code included. What is signed and when, the agent decides.

const NAME = 'device';

/**
 * Signs `text` with the key for `relay`, which is made when there is none; without a text only the public
 * half is told. Gives `{key, signature}` in hex digits; throws where there can be no key.
 */
export async function sign(relay, text) {
  const { privateKey, publicKey } = await pair(relay);
  const bytes = new TextEncoder().encode(text ?? '');
  return {
    key: hex(await crypto.subtle.exportKey('raw', publicKey)),
    signature: text === null ? '' : hex(await crypto.subtle.sign('Ed25519', privateKey, bytes)),
  };
}

async function pair(relay) {
  const base = await open();
  try {
    const known = await done(base.transaction('keys').objectStore('keys').get(relay));
    if (known) return known;
    const made = await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify']);
    await kept(base, made, relay);
    return made;
  } finally {
    base.close();
  }
}

function open() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore('keys');
  return done(request);
}

/** Keeps a new pair: it is on the disk before the relay hears of it, and replaces none. */
function kept(base, made, relay) {
  const transaction = base.transaction('keys', 'readwrite', { durability: 'strict' });
  transaction.objectStore('keys').add(made, relay);
  return new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
}

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function hex(bytes) {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
