// The ad beside a free answer.

import { Relay } from './relay.js';

const SEEN_MS = 1_000;
const SEEN_SHARE = 0.5;

const STYLE = `
:host { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: 0 .75rem; align-items: baseline; padding: .75rem; border: 1px solid; border-radius: .5rem; font-size: .875rem; overflow-wrap: anywhere; }
:host([hidden]) { display: none; }
* { margin: 0; }
span ~ * { grid-column: 2; }
span, details { font-size: .75rem; }
a { color: inherit; }
summary { cursor: pointer; }`;

const Base = globalThis.HTMLElement ?? class {};

export class RekursingAd extends Base {
  #ad = null;
  #root = this.attachShadow({ mode: 'open' });
  #observer;
  #timer;
  #look = () => this.#watch();

  constructor() {
    super();
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    this.#root.adoptedStyleSheets = [sheet];
  }

  get ad() {
    return this.#ad;
  }

  set ad(ad) {
    const shown = URL.canParse(ad?.link) && /^https?:/.test(new URL(ad.link));
    this.#ad = shown ? ad : null;
    this.hidden = !shown;
    this.#root.replaceChildren(...(shown ? parts(ad) : []));
    if (shown) {
      this.setAttribute('role', 'region');
      this.setAttribute('aria-label', ad.label || 'Sponsored');
    }
    this.#watch();
  }

  connectedCallback() {
    document.addEventListener('visibilitychange', this.#look);
    this.#watch();
  }

  disconnectedCallback() {
    document.removeEventListener('visibilitychange', this.#look);
    this.#watch();
  }

  // Begins anew: an ad must be visible without a break.
  #watch() {
    clearTimeout(this.#timer);
    this.#observer?.disconnect();
    const { impressionToken, link } = this.#ad ?? {};
    if (!impressionToken || !this.isConnected || document.hidden) return;
    this.#observer = new IntersectionObserver(
      (entries) => {
        clearTimeout(this.#timer);
        if (!entries.at(-1).isIntersecting) return;
        this.#timer = setTimeout(() => {
          this.#ad = { ...this.#ad, impressionToken: undefined };
          this.#observer.disconnect();
          confirm(link, impressionToken);
        }, SEEN_MS);
      },
      { threshold: SEEN_SHARE },
    );
    this.#observer.observe(this);
  }
}

// Nobody needs to know of an ad that cannot be confirmed.
function confirm(link, token) {
  const call = { method: 'POST', body: JSON.stringify({ token }), keepalive: true };
  new Relay(link).json('/api/ads/impressions', call).catch(() => {});
}

function parts({ label, title, text, link, site, why }) {
  const anchor = make('a', 'link', title);
  Object.assign(anchor, { href: link, rel: 'sponsored noopener noreferrer', target: '_blank' });
  const line = make('p', 'text');
  line.append(anchor, ` ${text ?? ''}`);
  const reasons = make('details', 'why');
  const reason = `${why ?? ''} The advertiser does not see your question, and no model sees the ad.`;
  reasons.append(make('summary', '', 'Why this ad?'), make('p', '', reason.trim()));
  return [make('span', 'label', label || 'Sponsored'), line, make('span', 'site', site), reasons];
}

function make(name, part, text = '') {
  const made = document.createElement(name);
  if (part) made.setAttribute('part', part);
  made.textContent = text;
  return made;
}

if (globalThis.customElements && !customElements.get('rekursing-ad')) {
  customElements.define('rekursing-ad', RekursingAd);
}
