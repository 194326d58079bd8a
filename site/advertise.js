// The advertiser's console: campaigns with what they brought, and a form for new ones that shows the ad.

import './client/ad.js';
import { unique } from './call.js';
import { showCampaigns } from './campaigns.js';
import { door } from './door.js';
import { call } from './holder.js';
import { statements } from './statements.js';
import { say, usd } from './write.js';

const $ = (id) => document.getElementById(id);
let asked = unique();

door('key', refresh);
statements('/api/ads/statements', 'rekursing-ads');

async function refresh() {
  const [{ ads }, { campaigns }] = await Promise.all([call('/api/account'), call('/api/ads/campaigns')]);
  // A key with limits does not see what is the whole account's.
  if (!ads) throw new Error('This key has limits. Sign in with one that has none.');
  $('balance').textContent = usd(ads.balance);
  showCampaigns(campaigns);
}

/** Amounts go as they were typed; dates and lists become what the relay reads. */
const READ = {
  keywords: list,
  countries: (typed) => list(typed.toUpperCase()),
  starts: (typed) => Date.parse(typed),
  // The day that was named is the last one.
  ends: (typed) => Date.parse(typed) + 86_400_000,
  perVisitorDay: Number,
};

function list(typed) {
  return typed.split(',').map((word) => word.trim()).filter(Boolean);
}

$('make').addEventListener('input', preview);

function preview() {
  const form = new FormData($('make'));
  const [title, text, link] = ['title', 'text', 'link'].map((name) => form.get(name).trim());
  const isWhole = title !== '' && text !== '' && URL.canParse(link);
  // Without a token it is no impression.
  $('preview').ad = isWhole ? { title, text, link, site: new URL(link).hostname, label: 'Sponsored', why: 'Your question is about what you chose above.' } : null;
  $('no-preview').hidden = isWhole;
}

$('make').addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const body = { categories: form.getAll('categories') };
  for (const [name, typed] of form) {
    const value = typed.trim();
    if (name !== 'categories' && value !== '') body[name] = READ[name]?.(value) ?? value;
  }
  try {
    const { title } = await call('/api/ads/campaigns', { method: 'POST', body, once: asked });
    asked = unique();
    event.target.reset();
    preview();
    await refresh();
    say($('make-outcome'), `${title} runs.`);
  } catch ({ message, field }) {
    if (field) event.target.elements[field]?.focus?.();
    say($('make-outcome'), message, 'bad');
  }
});
