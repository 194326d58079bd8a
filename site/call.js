// Calls the relay as one person who has signed in, in this tab.

import { Relay, hex, parse } from './client/relay.js';
import { inTab } from './kept.js';

/** A name that nothing else has; `randomUUID` is there over HTTPS alone. */
export const unique = () => hex(crypto.getRandomValues(new Uint8Array(16)));

/** Gives a function that calls the relay with what this tab keeps under `name`: a key or a token. */
export function caller(name) {
  return async (path, { method = 'GET', body, once, as } = {}) => {
    const relay = new Relay(location.origin, inTab.read(name));
    const headers = once && { 'idempotency-key': once };
    const response = await relay.once(path, { method, headers, body: body && JSON.stringify(body) });
    const text = await response.text();
    if (as === 'text') return text;
    return text === '' ? null : parse(text);
  };
}
