// Calls the relay, again while that may help.

export class RekursingError extends Error {
  constructor(code, message, { cause, ...facts } = {}) {
    const text = message.trim().replace(/[^.!?]$/, '$&.');
    super(text.charAt(0).toUpperCase() + text.slice(1), { cause });
    Object.assign(this, { name: 'RekursingError', code, ...facts });
  }
}

export const broken = (signal) => (cause) => {
  signal?.throwIfAborted();
  throw new RekursingError('cut', 'The connection broke.', { cause });
};

export const malformed = (cause) =>
  new RekursingError('malformed', 'The relay sent something that cannot be read.', { cause });

export function parse(text) {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw malformed(cause);
  }
}

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

class Patience {
  #ms;
  #until;
  #pause = 0;

  constructor(ms) {
    this.#ms = ms;
  }

  // The call got somewhere.
  renew() {
    this.#until = undefined;
    this.#pause = 0;
  }

  // Throws the error where waiting does not help.
  async wait(error, signal) {
    const { code, retryAfter } = error;
    const broke = code === 'cut' || code === 'unreachable';
    if (!broke && retryAfter === undefined) throw error;
    const pause = broke ? this.#pause * (0.5 + Math.random()) : Math.max(retryAfter * 1_000, this.#pause);
    this.#until ??= performance.now() + this.#ms;
    if (performance.now() + pause >= this.#until) throw error;
    this.#pause = Math.min(2 * this.#pause || 250, 5_000);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, pause);
      signal?.addEventListener('abort', () => resolve(clearTimeout(timer)), { once: true });
    });
    signal?.throwIfAborted();
  }
}

export class Relay {
  #patience;

  constructor(url, key, patience = 20_000) {
    this.url = new URL(url);
    this.key = key;
    this.#patience = patience;
  }

  patience() {
    return new Patience(this.#patience);
  }

  async once(path, { token = this.key, headers, signal, ...init } = {}) {
    const all = { ...headers };
    if (init.body) all['content-type'] = 'application/json';
    if (token) all.authorization = `Bearer ${token}`;
    const response = await fetch(new URL(path, this.url), { cache: 'no-store', ...init, headers: all, signal }).catch((cause) => {
      signal?.throwIfAborted();
      throw new RekursingError('unreachable', 'The relay could not be reached, or it does not let this page’s origin call it.', { cause });
    });
    if (response.ok) return response;
    const { status } = response;
    const error = (await response.json().catch(() => null))?.error ?? {};
    const told = response.headers.get('retry-after') ?? NaN;
    const seconds = isNaN(told) ? Math.max((Date.parse(told) - Date.now()) / 1_000, 0) : Number(told);
    // No other refusal passes.
    const passes = [429, 503].includes(status) || ['ad_too_soon', 'idempotency_running'].includes(error.code);
    throw new RekursingError(error.code ?? `http_${status}`, error.message ?? `The relay answered ${status}.`, {
      status,
      field: error.field,
      id: error.id,
      price: error.price,
      retryAfter: passes && seconds >= 0 ? seconds : undefined,
    });
  }

  async json(path, init) {
    for (const patience = this.patience(); ; ) {
      try {
        const response = await this.once(path, init);
        return parse(await response.text().catch(broken(init?.signal)));
      } catch (error) {
        await patience.wait(error, init?.signal);
      }
    }
  }
}
