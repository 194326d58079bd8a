// Asks a relay for answers. index.d.ts says what this does.

import { follow } from './events.js';
import { bad, verify } from './receipt.js';
import { RekursingError, Relay, hex, parse } from './relay.js';

export { RekursingAd } from './ad.js';
export { verify as verifyReceipt } from './receipt.js';
export { RekursingError };

const TOKENS_MAX = 100;

export class GPUStreamingClient {
  #relay;
  #receiptKeys;
  #user;
  #receiptTokens = new Map();

  constructor(url, { key, patience, receiptKeys } = {}) {
    this.#relay = new Relay(url, key, patience);
    this.#receiptKeys = receiptKeys;
  }

  setUserId(id) {
    this.#user = id;
    this.#receiptTokens.clear();
  }

  async requestInference(prompt, model, options) {
    const answer = { result: '', ad: null };
    const calls = new Map();
    for await (const { type, text, choices, ...facts } of this.stream(prompt, { ...options, model })) {
      answer.result += text ?? '';
      for (const { delta } of choices ?? []) {
        answer.result += delta?.content ?? '';
        for (const piece of [delta?.tool_calls ?? []].flat()) grow(calls, piece);
      }
      Object.assign(answer, facts);
    }
    return { ...answer, toolCalls: [...calls.values()] };
  }

  async *stream(messages, { signal, ...wishes } = {}) {
    const asked = typeof messages === 'string' ? { prompt: messages } : { messages };
    const body = JSON.stringify({ ...wishes, ...asked, user: this.#user, stream: true });
    // By its name the answer goes on when the connection breaks.
    let name = random();
    let last = '0';
    let job;
    let over = false;
    const call = async () => {
      const headers = { accept: 'text/event-stream', 'idempotency-key': name, 'last-event-id': last };
      try {
        const response = await this.#relay.once('/api/llm/inference', { method: 'POST', body, headers, signal });
        job = response.headers.get('x-rekursing-job') ?? job;
        return response;
      } catch (error) {
        // Nothing of it was heard.
        if (error.code === 'idempotency_answer_gone' && last === '0') {
          name = random();
          error.retryAfter = 0;
        }
        throw error;
      }
    };
    try {
      for await (const event of follow(call, this.#relay.patience(), signal)) {
        last = event.id ?? last;
        over = event.name === 'done' || event.name === 'error';
        const taken = this.#take(event);
        if (taken) yield taken;
        if (over) return;
      }
    } finally {
      if (!over && job) this.cancel(job).catch(() => {});
    }
  }

  async cancel(jobId) {
    await this.#relay.once(`/api/llm/inference/${encodeURIComponent(jobId)}`, { method: 'DELETE', keepalive: true });
  }

  async models({ signal } = {}) {
    return (await this.#relay.json('/api/llm/models', { signal })).models;
  }

  live({ signal } = {}) {
    return this.#relay.json('/api/live', { signal });
  }

  async *watch({ signal } = {}) {
    const call = () => this.#relay.once('/api/live', { headers: { accept: 'text/event-stream' }, signal });
    const providers = new Map();
    let totals;
    for await (const { name, data } of follow(call, this.#relay.patience(), signal)) {
      const news = parse(data);
      if (name === 'live') providers.clear();
      for (const one of news.providers ?? []) providers.set(one.pluginId, one);
      for (const id of news.gone ?? []) providers.delete(id);
      totals = news.totals ?? totals;
      yield { totals, providers: [...providers.values()] };
    }
  }

  async rate(jobId, up, { token = this.#receiptTokens.get(jobId), signal } = {}) {
    await this.#relay.once(`/api/jobs/${encodeURIComponent(jobId)}/thumb`, { method: 'PUT', body: JSON.stringify({ up }), token, signal });
  }

  async receipt(jobId, { token = this.#receiptTokens.get(jobId), signal } = {}) {
    const receipt = await this.#relay.json(`/api/jobs/${encodeURIComponent(jobId)}/receipt`, { token, signal });
    const published = () => this.#relay.json('/.well-known/rekursing-receipts', { signal });
    await verify(receipt, this.#receiptKeys ?? (await published()).keys.map(({ key }) => key));
    if (receipt.jobId !== jobId) throw bad();
    return receipt;
  }

  #take({ name, data }) {
    const facts = parse(data);
    this.#remember(facts);
    if (name === 'error') throw new RekursingError(facts.code, facts.message, facts);
    if (name !== 'ad') return { ...facts, type: name };
    // The relay counts clicks: no other link is an ad's.
    const link = URL.canParse(facts.link, this.#relay.url) && new URL(facts.link, this.#relay.url);
    return link && link.origin === this.#relay.url.origin && { type: name, ad: { ...facts, link: link.href } };
  }

  #remember({ jobId, receiptToken, jobs = [jobId], receiptTokens = [receiptToken] }) {
    jobs.forEach((job, at) => receiptTokens[at] && this.#receiptTokens.set(job, receiptTokens[at]));
    for (const job of this.#receiptTokens.keys()) {
      if (this.#receiptTokens.size > TOKENS_MAX) this.#receiptTokens.delete(job);
    }
  }
}

// randomUUID is there over HTTPS alone.
const random = () => hex(crypto.getRandomValues(new Uint8Array(16)));

function grow(calls, piece) {
  const { name = '', arguments: text = '' } = piece?.function ?? {};
  const call = calls.get(piece?.index) ?? { id: piece?.id, type: 'function', function: { name, arguments: '' } };
  call.function.arguments += text;
  calls.set(piece?.index, call);
}
