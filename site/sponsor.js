// The ad beside a free answer: apart from it, labelled, and confirmed once it was really seen.

/** How long, and how much of it, an ad must be visible to count as seen. */
const SEEN_MS = 1_000;
const SEEN_SHARE = 0.5;

/** Makes the box of an ad, or nothing where the relay's word is not an ad. */
export function sponsor({ title, text, link, site, why, impressionToken }) {
  const address = typeof link === 'string' && URL.canParse(link, location.href) ? new URL(link, location.href) : null;
  // A click is counted by the relay, which leads on to the advertiser.
  if (typeof title !== 'string' || address?.origin !== location.origin) return null;
  const box = element('aside', 'sponsor');
  box.setAttribute('aria-label', 'Sponsored');
  const anchor = element('a', '', title);
  anchor.href = address.href;
  anchor.rel = 'sponsored noopener noreferrer';
  anchor.target = '_blank';
  const line = element('p');
  line.append(anchor, ' ', text ?? '');
  const reasons = element('details');
  const reason = `${why ?? ''} The advertiser does not see your question, and no model sees the ad.`.trim();
  reasons.append(element('summary', '', 'Why this ad?'), element('p', '', reason));
  box.append(element('span', 'label', 'Sponsored'), line, element('span', 'site', site), reasons);
  if (typeof impressionToken === 'string') watch(box, () => confirm(impressionToken));
  return box;
}

/** Calls `seen` once, when the box was visible for a second without a break. */
function watch(box, seen) {
  let timer = 0;
  const observer = new IntersectionObserver(
    (entries) => {
      clearTimeout(timer);
      if (!entries.at(-1).isIntersecting || document.hidden) return;
      timer = setTimeout(() => {
        observer.disconnect();
        document.removeEventListener('visibilitychange', look);
        seen();
      }, SEEN_MS);
    },
    { threshold: SEEN_SHARE },
  );
  // An observer tells at once what it sees when it begins to look.
  const look = () => {
    observer.unobserve(box);
    observer.observe(box);
  };
  document.addEventListener('visibilitychange', look);
  look();
}

/** Tells the relay that an ad was seen. One that cannot be told is not counted, and nobody needs to know. */
function confirm(token) {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ token });
  fetch('/api/ads/impressions', { method: 'POST', headers, body, keepalive: true }).catch(() => {});
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
