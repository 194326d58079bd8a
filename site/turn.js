// One turn of the conversation: a question, its answer as it grows, and the receipt under it.

import { RekursingAd } from './client/index.js';
import { copied } from './copy.js';
import { words } from './failures.js';
import { known, nameOf } from './named.js';
import { cents } from './models.js';
import { inline, paint } from './prose.js';

const STOPPED = 'The answer stops here because you stopped it.';

/** Shows one turn and tells what there is to remember of it. */
export class Turn {
  #reasoning = '';
  #calls = [];
  #painting = 0;
  #isOver = false;
  #started = performance.now();
  #ticking = 0;

  /** Begins a turn; `free` tells that somebody else pays. */
  constructor(question, { free }) {
    this.question = question;
    this.free = free;
    this.text = '';
    /** The jobs of the answer: one for each who has made a part of it. */
    this.jobs = [];
    this.element = element('article', 'turn');
    this.asked = element('h2', 'asked', question);
    this.answer = element('div', 'answer');
    this.answer.setAttribute('aria-busy', 'true');
    this.status = element('p', 'status', 'Waiting for an answer');
    this.prose = element('div', 'prose');
    this.answer.append(this.status, this.prose);
    this.element.append(this.asked, this.answer);
    this.#ticking = setInterval(() => this.#tick(), 1_000);
  }

  /** Shows an answer that was kept. */
  recall({ text, model, provider, receipt, remark, job, jobs = job ? [job] : [], token, tokens, thumb, owed, paid, past }) {
    Object.assign(this, { text, model, provider, job, jobs, token, tokens, thumb, owed, paid, past });
    this.#end();
    if (remark) this.#remark(remark);
    if (receipt?.length > 0) this.#receipt(receipt);
    this.#tools();
  }

  /** Gives what is kept of the turn. One that is kept in the middle of its answer is one that was stopped there. */
  kept() {
    const { question, text, model, receipt = [], job, jobs, token, tokens, thumb, paid, past } = this;
    const provider = this.provider && { id: this.provider.id };
    const [remark, owed] = this.#isOver ? [this.remark, this.owed] : [STOPPED, !this.free];
    return { question, text, model, provider, receipt, remark, job, jobs, token, tokens, thumb, owed, paid, past };
  }

  /** Takes one event of the answer. */
  take(event) {
    this.token = event.receiptToken ?? this.token;
    this.tokens = event.receiptTokens ?? this.tokens;
    if (event.jobId) this.jobs = event.jobs ?? [event.jobId];
    if (event.type === 'start' || event.type === 'continued') this.#start(event);
    if (event.type === 'token') this.#add(event.text);
    if (event.type === 'chunk') event.choices?.forEach(({ delta }) => delta && this.#delta(delta));
    if (event.type === 'ad') this.sponsored = Object.assign(new RekursingAd(), { ad: event.ad });
    if (event.type === 'done') this.#finish(event);
  }

  /** Ends the turn before its answer's end, by the reader's wish; with what was charged, if it is known. */
  stop(charged = {}) {
    this.#end();
    this.#remark(this.text ? STOPPED : 'You stopped it before the answer began.');
    this.#broken(charged);
  }

  /**
   * Ends the turn with what went wrong, what was charged, if it is known, and a button to ask again: for the price
   * that the error names, where somebody asks for more than is paid and the reader pays. Gives what was said of it.
   */
  fail(error, again) {
    this.#end();
    const dear = error.code === 'price_too_high';
    const [sentence, told] = words(dear && this.free ? { code: 'price_not_free', message: error.message } : error, this.text !== '');
    // A refusal costs nothing; of a connection that broke nobody knows yet.
    const isUnpaid = !this.free && this.text === '' && (error.status !== undefined || Number(error.cost ?? NaN) === 0);
    const whole = `${this.text ? 'The answer breaks off here. ' : ''}${sentence}${isUnpaid ? ' Nothing was charged.' : ''}`;
    if (this.text) this.remark = whole;
    const box = element('div', 'failure');
    box.setAttribute('role', 'alert');
    const price = dear && !this.free ? error.price : undefined;
    const button = element('button', 'quiet', price ? `Pay up to $${cents(price.input)} / $${cents(price.output)} per million tokens` : 'Ask again');
    button.type = 'button';
    button.addEventListener('click', () => again(price));
    const said = element('div', 'said');
    said.append(inline(element('p'), whole));
    // The relay names what a program would write as code.
    if (told) said.append(inline(element('p', 'told'), told));
    box.append(said, button);
    this.answer.append(box);
    this.#broken(error);
    return sentence;
  }

  /** Shows what an answer cost that did not come to its end. */
  charged({ cost, usage }) {
    this.owed = false;
    this.cost = this.free ? '0' : cost;
    this.paid = Number(this.cost) > 0;
    if (Number(cost) > 0) this.#receipt([...this.#provider(), this.#tokens(usage), ['Cost', this.#cost(cost)]]);
  }

  /** Says why this answer stays where another one was asked for; with nothing to say, that is taken back. */
  stays(why) {
    this.why?.remove();
    this.why = why ? this.answer.appendChild(inline(element('p', 'remark'), why)) : null;
  }

  /** Ends an answer that did not come to its end. What was heard of it can be used as any other. */
  #broken({ jobId, jobs = [jobId], usage, cost }) {
    if (jobId) this.jobs = jobs;
    this.job ??= jobId;
    // Who pays nothing owes nothing, and a question that nobody took on costs nothing.
    this.owed = cost === undefined && this.jobs.length > 0 && !this.free;
    if (!this.owed) this.charged({ cost: cost ?? '0', usage });
    if (this.text) this.#tools();
  }

  #remark(text) {
    this.remark = text;
    this.answer.append(inline(element('p', 'remark'), text));
  }

  #start({ provider, model, jobId }) {
    this.job = jobId;
    this.provider = provider;
    this.model = model;
    this.status.textContent = `${who(provider)} is reading your question`;
  }

  #add(text) {
    if (typeof text !== 'string' || text === '') return;
    if (this.text === '') this.status.textContent = `${who(this.provider)} is answering`;
    this.text += text;
    this.#repaint();
  }

  #delta(delta) {
    this.#add(delta.content);
    const thought = delta.reasoning_content ?? delta.reasoning;
    if (typeof thought === 'string' && thought !== '') {
      this.#reasoning += thought;
      if (this.text === '') this.status.textContent = `${who(this.provider)} is thinking`;
    }
    // What a provider says is checked: a place in the list could be anything.
    for (const call of Array.isArray(delta.tool_calls) ? delta.tool_calls : []) {
      const index = call?.index ?? 0;
      if (!Number.isInteger(index) || index < 0 || index >= 128) continue;
      while (this.#calls.length <= index) this.#calls.push({ name: '', arguments: '' });
      for (const part of ['name', 'arguments']) {
        if (typeof call.function?.[part] === 'string') this.#calls[index][part] += call.function[part];
      }
    }
    this.#repaint();
  }

  #repaint() {
    this.#painting ||= requestAnimationFrame(() => {
      this.#painting = 0;
      this.#paint();
    });
  }

  #paint() {
    paint(this.prose, this.text);
    if (this.#reasoning) {
      this.thoughts ??= this.#thoughts();
      this.thoughts.textContent = this.#reasoning;
    }
    if (this.#calls.length > 0) {
      this.calls ??= this.answer.appendChild(element('p', 'calls'));
      const shown = this.#calls.map((call) => `Tool call: ${call.name}(${call.arguments})`);
      this.calls.textContent = shown.join('\n');
    }
    this.element.dispatchEvent(new Event('grown', { bubbles: true }));
  }

  #thoughts() {
    const box = element('details', 'thoughts');
    const text = element('p');
    box.append(element('summary', '', 'Thoughts of the model'), text);
    this.prose.before(box);
    return text;
  }

  #finish(done) {
    this.#end();
    const { usage = {}, cost, tokensPerSecond, firstTokenMs, finishReason } = done;
    this.cost = typeof cost === 'string' && !this.free ? cost : '0';
    this.paid = Number(this.cost) > 0;
    if (finishReason === 'length') {
      this.#remark('The answer stops here because it reached its longest allowed length.');
    }
    this.#receipt([
      ...this.#provider(),
      ['Speed', tokensPerSecond > 0 && `${Number(tokensPerSecond).toFixed(1)} tokens/s`],
      ['First token', Number.isFinite(firstTokenMs) && seconds(firstTokenMs)],
      this.#tokens(usage),
      ['Cost', typeof cost === 'string' && this.#cost(cost)],
    ]);
    this.#tools();
    if (this.sponsored) this.element.append(this.sponsored);
  }

  /** Lets the answer be copied, and the question be asked of somebody else. */
  #tools() {
    const bar = element('div', 'tools');
    const copy = element('button', 'quiet');
    const another = element('button', 'quiet', 'Ask another provider');
    for (const button of [copy, another]) button.type = 'button';
    const say = (word) => {
      copy.textContent = word;
      copy.setAttribute('aria-label', `${word} the answer`);
    };
    say('Copy');
    copy.addEventListener('click', async () => {
      say((await copied(this.text)) ? 'Copied' : 'Could not copy');
      setTimeout(say, 1_500, 'Copy');
    });
    another.addEventListener('click', () => {
      this.element.dispatchEvent(new CustomEvent('again', { bubbles: true, detail: this }));
    });
    bar.append(copy, another);
    const under = element('div', 'under');
    under.append(bar);
    if (this.job) under.append(this.#thumbs());
    this.answer.append(under);
  }

  /** Lets the reader say whether it was a good answer. */
  #thumbs() {
    const group = element('div', 'thumbs');
    group.setAttribute('role', 'group');
    group.setAttribute('aria-label', 'Was this a good answer?');
    this.thumbs = [true, false].map((up) => {
      const button = element('button', 'quiet', up ? 'Good answer' : 'Bad answer');
      button.type = 'button';
      button.addEventListener('click', () => {
        this.element.dispatchEvent(new CustomEvent('thumb', { bubbles: true, detail: { turn: this, up } }));
      });
      return button;
    });
    this.thumbed(this.thumb);
    group.append(...this.thumbs);
    return group;
  }

  /** Shows and remembers what the reader has said of the answer; nothing where he has said nothing. */
  thumbed(up) {
    this.thumb = up;
    this.thumbs?.forEach((button, at) => button.setAttribute('aria-pressed', String(up === (at === 0))));
  }

  #provider() {
    return [
      ['Answered by', nameOf(this.provider)],
      ['GPU', known(this.provider?.gpu)],
      ['Model', [this.provider?.model ?? this.model, this.provider?.quantization].filter(Boolean).join(' ')],
      ['Runs in', this.provider?.browser && 'the owner’s browser'],
    ];
  }

  #tokens(usage) {
    return ['Tokens', Number.isFinite(usage?.totalTokens) && `${usage.promptTokens} in, ${usage.completionTokens} out`];
  }

  #cost(dollars) {
    return this.free ? `$${dollars}, free for you` : `$${dollars}`;
  }

  #receipt(rows) {
    const list = element('dl', 'receipt');
    this.receipt = rows.filter(([, value]) => value);
    for (const [term, value] of this.receipt) {
      const row = element('div');
      if (term) row.append(element('dt', '', term));
      row.append(element('dd', '', value));
      list.append(row);
    }
    if (this.paid) list.append(this.#papers());
    const under = this.answer.querySelector(':scope > .under');
    this.answer.querySelector(':scope > .receipt')?.remove();
    this.answer.insertBefore(list, under);
  }

  /** Leads to the signed receipts of what was paid, and to where it is disputed: for each job that is a part of it. */
  #papers() {
    const row = element('div');
    row.append(element('dt', '', 'On your account'));
    for (const [at, job] of this.jobs.entries()) {
      const line = element('dd', 'papers');
      for (const [name, to] of [['Receipt', 'receipt'], ['Dispute', 'job']]) {
        const words = this.jobs.length > 1 ? `${name} ${at + 1}` : name;
        line.append(Object.assign(element('a', '', words), { href: `/account.html?${to}=${encodeURIComponent(job)}` }));
      }
      row.append(line);
    }
    return row;
  }

  #tick() {
    this.status.dataset.elapsed = `${Math.round((performance.now() - this.#started) / 1_000)} s`;
  }

  #end() {
    this.#isOver = true;
    clearInterval(this.#ticking);
    cancelAnimationFrame(this.#painting);
    this.#paint();
    this.status.remove();
    this.answer.setAttribute('aria-busy', 'false');
  }
}

function who(provider) {
  return known(provider?.gpu) || nameOf(provider) || 'The provider';
}

function seconds(ms) {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
