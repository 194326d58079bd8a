// The advertiser's console: campaigns with what they brought, and a form for new ones that shows the ad.

import './client/ad.js';
import { unique } from './call.js';
import { showCampaigns } from './campaigns.js';
import { door } from './door.js';
import { isWhole, mark, refused } from './fields.js';
import { call } from './holder.js';
import { statements } from './statements.js';
import { exact, say } from './write.js';

const $ = (id) => document.getElementById(id);
let asked = unique();
/** The campaign that is changed, and its fields as they were. */
let changed;

door('key', refresh);
statements('/api/ads/statements', 'rekursing-ads');

async function refresh() {
  const [{ ads }, { campaigns }] = await Promise.all([call('/api/account'), call('/api/ads/campaigns')]);
  // A key with limits does not see what is the whole account's.
  if (!ads) throw new Error('This key has limits. Sign in with one that has none.');
  $('balance').textContent = exact(ads.balance);
  showCampaigns(campaigns, { edit, refresh });
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

const dated = (moment) => new Date(moment).toISOString().slice(0, 10);

/** Puts a campaign into the form, to be changed. */
function edit(campaign) {
  const form = $('make');
  form.reset();
  for (const box of form.elements.namedItem('categories')) box.checked = campaign.categories.includes(box.value);
  const { starts, ends, keywords, countries, budget, dailyBudget } = campaign;
  const written = {
    ...campaign, dailyBudget: dailyBudget === budget ? '' : dailyBudget, keywords: keywords.join(', '), countries: countries.join(', '), starts: dated(starts), ends: dated(ends - 1),
  };
  for (const name of FIELDS) form.elements.namedItem(name).value = written[name] === '0' ? '' : written[name] ?? '';
  changed = { id: campaign.id, before: read(form) };
  head(`Change “${campaign.title}”`, 'Save it');
  preview();
  $('make-title').focus();
}

const FIELDS = [
  'title', 'text', 'link', 'keywords', 'countries', 'bidPerThousand', 'bidPerClick', 'budget', 'dailyBudget', 'starts', 'ends', 'perVisitorDay',
];

/** Has the form make a new one again. */
function begin() {
  changed = null;
  $('make').reset();
  head('New campaign', 'Start it');
  preview();
}

function head(title, go) {
  $('make-title').textContent = title;
  $('make-go').textContent = go;
  $('make-not').hidden = !changed;
  say($('make-outcome'), '');
}

$('make-not').addEventListener('click', () => {
  begin();
  $('make-title').focus();
});

/** Reads what is in the form: the fields that are not empty. */
function read(form) {
  const typed = new FormData(form);
  const body = { categories: typed.getAll('categories') };
  for (const name of FIELDS) {
    const value = typed.get(name).trim();
    if (value !== '') body[name] = READ[name]?.(value) ?? value;
  }
  return body;
}

/** Gives what differs. What was emptied is as if it had never been said. */
function changes(before, after) {
  const were = whole(before);
  return Object.fromEntries(Object.entries(whole(after)).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(were[name])));
}

const whole = (terms) => ({
  keywords: [], countries: [], bidPerThousand: '0', bidPerClick: '0', dailyBudget: terms.budget, perVisitorDay: 3, ...terms,
});

$('make').addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.target;
  if (!isWhole(form, $('make-outcome'))) return;
  const body = read(form);
  if (body.bidPerThousand === undefined && body.bidPerClick === undefined) {
    const text = 'Say the most for 1,000 views, for a click, or both.';
    mark(form.elements.namedItem('bidPerThousand'), text);
    form.elements.namedItem('bidPerThousand').focus();
    say($('make-outcome'), text, 'bad');
    return;
  }
  try {
    const { title } = changed
      ? await call(`/api/ads/campaigns/${changed.id}`, { method: 'PATCH', body: changes(changed.before, body), once: unique() })
      : await call('/api/ads/campaigns', { method: 'POST', body, once: asked });
    const done = changed ? `${title} is changed.` : `${title} runs.`;
    asked = unique();
    begin();
    await refresh();
    say($('make-outcome'), done);
  } catch (error) {
    refused(form, error, $('make-outcome'));
  }
});
