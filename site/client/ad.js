// <rekursing-ad>: the ad beside a free answer, labelled, and confirmed once it was really seen.

/** How long, and how much of it, an ad must be visible to count as seen. */
const SEEN_MS = 1_000;
const SEEN_SHARE = 0.5;

const STYLE = `
:host { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .125rem .75rem; align-items: baseline; padding: .625rem .875rem; border: 1px solid; border-radius: .5rem; font-size: .875rem; }
:host([hidden]) { display: none; }
:host > *, p { margin: 0; }
p, [part=site], details { grid-column: 2; overflow-wrap: anywhere; }
[part=label], [part=site], details { font-size: .75rem; }
a { color: inherit; }
summary { cursor: pointer; }`;

const Base = globalThis.HTMLElement ?? class {};

/** Shows the ad that it is given as `ad`. Without one, or with one that cannot be shown, it is hidden. */
export class RekursingAd extends Base {
  #ad = null;
  #root;
  #observer;
  #timer;
  #look = () => this.#watch();

  constructor() {
    super();
    this.#root = this.attachShadow({ mode: 'open' });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    this.#root.adoptedStyleSheets = [sheet];
  }

  get ad() {
    return this.#ad;
  }

  set ad(ad) {
    const shown = ad && /^https?:$/.test(URL.canParse(ad.link) && new URL(ad.link).protocol);
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

  /** Looks anew whether the ad is visible. It must stay so for a second without a break. */
  #watch() {
    clearTimeout(this.#timer);
    this.#observer?.disconnect();
    const { impressionToken, link } = this.#ad ?? {};
    if (!impressionToken || !this.isConnected || document.hidden) return;
    // An observer tells at once what it sees when it begins to look.
    this.#observer = new IntersectionObserver(
      (entries) => {
        clearTimeout(this.#timer);
        if (!entries.at(-1).isIntersecting) return;
        this.#timer = setTimeout(() => {
          this.#ad = { ...this.#ad, impressionToken: undefined };
          this.#observer.disconnect();
          confirm(new URL('/api/ads/impressions', link), impressionToken);
        }, SEEN_MS);
      },
      { threshold: SEEN_SHARE },
    );
    this.#observer.observe(this);
  }
}

/** Tells the relay that an ad was seen. One that cannot be told is not counted, and nobody needs to know. */
async function confirm(url, token) {
  const headers = { 'content-type': 'application/json' };
  const call = { method: 'POST', headers, body: JSON.stringify({ token }), keepalive: true };
  for (let tries = 0; tries < 3; tries += 1) {
    const response = await fetch(url, call).catch(() => null);
    const early = response?.status === 409 && Number(response.headers.get('retry-after'));
    if (!early) return;
    await new Promise((resolve) => setTimeout(resolve, early * 1_000));
  }
}

function parts({ label, title, text, link, site, why }) {
  // A click is counted by the relay, which leads on to the advertiser.
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
