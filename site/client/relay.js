// Calls the relay, and calls again while that may help.

/** What was not answered, or not to its end: a stable code and a sentence for the reader. */
export class RekursingError extends Error {
  constructor(code, message, { cause, ...facts } = {}) {
    const text = message.trim();
    super(text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.'), { cause });
    Object.assign(this, { name: 'RekursingError', code, ...facts });
  }
}

export const cut = (cause) =>
  new RekursingError('cut', 'The connection broke before the answer was complete.', { cause });

/** Reads JSON of the relay's. */
export function parse(text) {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new RekursingError('malformed', 'The relay sent something that is no JSON.', { cause });
  }
}

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** How long a call is made again without getting anywhere, in milliseconds. */
class Patience {
  #ms;
  #until;
  #pause;

  constructor(ms) {
    this.#ms = ms;
    this.renew();
  }

  /** Begins anew: the call got somewhere. */
  renew() {
    this.#until = performance.now() + this.#ms;
    this.#pause = 0;
  }

  /** Waits until the call may be made again, or throws why it failed where that helps nothing or is too late. */
  async wait(error, signal) {
    const { code, retryAfter } = error;
    const broke = code === 'cut' || code === 'unreachable';
    if (!broke && retryAfter === undefined) throw error;
    const pause = broke ? this.#pause * (0.5 + Math.random()) : retryAfter * 1_000;
    if (performance.now() + pause >= this.#until) throw error;
    this.#pause = Math.min(2 * this.#pause || 250, 5_000);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, pause);
      signal?.addEventListener('abort', () => resolve(clearTimeout(timer)), { once: true });
    });
    signal?.throwIfAborted();
  }
}

/** The relay at this address, which is called with this key or with none. */
export class Relay {
  #patience;

  constructor(url, key, patience) {
    this.url = new URL(url);
    this.key = key;
    this.#patience = patience;
  }

  patience() {
    return new Patience(this.#patience);
  }

  /** Calls once. Gives the response, or throws what the relay says is wrong. */
  async once(path, { token = this.key, headers, signal, ...init } = {}) {
    const all = { ...headers };
    if (init.body) all['content-type'] = 'application/json';
    if (token) all.authorization = `Bearer ${token}`;
    let response;
    try {
      response = await fetch(new URL(path, this.url), { cache: 'no-store', ...init, headers: all, signal });
    } catch (cause) {
      signal?.throwIfAborted();
      throw new RekursingError('unreachable', 'The relay could not be reached.', { cause });
    }
    if (response.ok) return response;
    const { status } = response;
    const { error = {} } = (await response.json().catch(() => null)) ?? {};
    const seconds = Number(response.headers.get('retry-after') ?? NaN);
    // Other refusals stay what they are, however long one waits.
    const passes = [429, 503].includes(status) || error.code === 'idempotency_running';
    throw new RekursingError(error.code ?? `http_${status}`, error.message ?? `The relay answered ${status}.`, {
      status,
      field: error.field,
      id: error.id,
      retryAfter: passes && seconds >= 0 ? seconds : undefined,
    });
  }

  /** Calls until there is an answer, and reads it. */
  async json(path, init) {
    for (const patience = this.patience(); ; ) {
      try {
        const response = await this.once(path, init);
        const text = await response.text().catch((cause) => {
          init?.signal?.throwIfAborted();
          throw cut(cause);
        });
        return parse(text);
      } catch (error) {
        await patience.wait(error, init?.signal);
      }
    }
  }
}
