// Speaks to the relay: what can be asked for, and one question with its answer as it comes.

/**
 * A question that was not answered, or not to its end: a stable code and a sentence for the reader,
 * and what was charged for the part that was delivered.
 */
export class Refusal extends Error {
  constructor(code, message, { cost, usage, ...options } = {}) {
    super(sentence(message), options);
    this.code = code;
    this.cost = cost;
    this.usage = usage;
  }
}

/** Reads server-sent events out of text that may be cut anywhere, also inside a line break. */
export class EventReader {
  #rest = '';
  #name = '';
  #lines = [];

  *read(text) {
    let rest = this.#rest + text;
    for (;;) {
      // A carriage return at the very end may be the first half of a line break.
      const end = rest.search(/\r\n|\n|\r(?!$)/);
      if (end < 0) break;
      const line = rest.slice(0, end);
      rest = rest.slice(end + (rest.startsWith('\r\n', end) ? 2 : 1));
      if (line === '') {
        if (this.#lines.length > 0) yield { name: this.#name || 'message', data: this.#lines.join('\n') };
        this.#name = '';
        this.#lines = [];
        continue;
      }
      const colon = line.indexOf(':');
      if (colon === 0) continue;
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event') this.#name = value;
      if (field === 'data') this.#lines.push(value);
    }
    this.#rest = rest;
  }
}

/** Stops an answer by its job's id; its stream then ends with the code `cancelled` and what was charged. */
export async function cancel(job, key) {
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const response = await fetch(`/api/llm/inference/${encodeURIComponent(job)}`, { method: 'DELETE', headers });
  if (!response.ok) throw await refusal(response);
}

/** Returns the models that can be asked for a text now. */
export async function models() {
  const response = await fetch('/api/llm/models', { cache: 'no-store' });
  if (!response.ok) throw await refusal(response);
  const { models } = await response.json();
  return models.filter((model) => model.kind !== 'embedding');
}

/**
 * Asks, and yields `{ name, ...fields }` for each event until the answer is done.
 * Throws a Refusal when there is no answer, or not to its end, and an AbortError after `signal`.
 */
export async function* ask({ messages, model, key, signal }) {
  const response = await post({ messages, model, key, signal });
  if (!response.ok) throw await refusal(response);
  const events = new EventReader();
  for await (const text of pieces(response, signal)) {
    for (const { name, data } of events.read(text)) {
      const fields = parse(data);
      if (name === 'error') throw new Refusal(fields.code, fields.message, fields);
      yield { ...fields, name };
      if (name === 'done') return;
    }
  }
  throw new Refusal('cut', 'The connection broke before the answer was complete.');
}

async function post({ messages, model, key, signal }) {
  const headers = { 'content-type': 'application/json', accept: 'text/event-stream' };
  if (key) headers.authorization = `Bearer ${key}`;
  const body = JSON.stringify({ messages, stream: true, ...(model && { model }) });
  try {
    return await fetch('/api/llm/inference', { method: 'POST', headers, body, signal, cache: 'no-store' });
  } catch (cause) {
    if (signal.aborted) throw cause;
    throw new Refusal('unreachable', 'The relay could not be reached.', { cause });
  }
}

async function* pieces(response, signal) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (cause) {
    if (signal.aborted) throw cause;
    throw new Refusal('cut', 'The connection broke before the answer was complete.', { cause });
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function refusal(response) {
  const fallback = `The relay refused with status ${response.status}.`;
  try {
    const { error } = await response.json();
    return new Refusal(error.code, error.message || fallback);
  } catch {
    return new Refusal(`http_${response.status}`, fallback);
  }
}

/** Gives a message its capital letter and its full stop. */
function sentence(message = 'The answer failed') {
  const text = message.trim();
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');
}

function parse(data) {
  try {
    return JSON.parse(data);
  } catch (cause) {
    throw new Refusal('malformed', 'The relay sent something that this page cannot read.', { cause });
  }
}
