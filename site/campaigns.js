// A list of campaigns, each with a button that pauses it, and with its report.

import { unique } from './call.js';
import { call } from './holder.js';
import { bar, day, exact, facts, fill, make, permille, say, standing, usd } from './write.js';

const $ = (id) => document.getElementById(id);

/** What changes a campaign, and shows all of them again. */
let acts;

/** Shows the account's campaigns. `edit` changes one, and `refresh` shows all again. */
export function showCampaigns(campaigns, { edit, refresh }) {
  acts = { edit, refresh };
  $('no-campaigns').hidden = campaigns.length > 0;
  $('campaigns-shown').hidden = campaigns.length === 0;
  fill($('campaigns'), campaigns.map((campaign) => {
    const { title, state, spent, budget, impressions, clicks } = campaign;
    const buttons = make('span', '', 'row');
    buttons.append(button('Report', title, () => report(campaign)), button('Edit', title, async () => acts.edit(campaign)), pauser(campaign));
    return [title, standing(state), exact(spent), exact(budget), impressions, clicks, buttons];
  }));
}

function pauser({ id, title, paused }) {
  return button(paused ? 'Let it run' : 'Pause', title, async () => {
    await call(`/api/ads/campaigns/${id}`, { method: 'PATCH', body: { paused: !paused }, once: unique() });
    await acts.refresh();
    say($('campaigns-outcome'), `${title}: ${paused ? 'runs' : 'paused'}.`);
  });
}

function button(text, about, work) {
  const made = make('button', text);
  made.type = 'button';
  made.setAttribute('aria-label', `${text}: ${about}`);
  made.addEventListener('click', () => work().catch(({ message }) => say($('campaigns-outcome'), message, 'bad')));
  return made;
}

async function report({ id, title }) {
  const { total, days } = await call(`/api/ads/campaigns/${id}/report?days=30`);
  $('report').hidden = false;
  $('report-title').textContent = `${title}, the latest 30 days`;
  facts($('report-facts'), [
    ['Sent', total.sent.toLocaleString()],
    ['Seen', total.impressions.toLocaleString()],
    ['Seen of those sent', total.sent > 0 ? permille(total.fill * 1_000) : '–'],
    ['Clicks', total.clicks.toLocaleString()],
    ['Spent', exact(total.spent)],
  ]);
  $('no-report').hidden = days.length > 0;
  $('report-shown').hidden = days.length === 0;
  const most = Math.max(0, ...days.map(({ spent }) => Number(spent)));
  fill($('report-days'), days.toReversed().map((one) => [
    day(one.day), one.sent, one.impressions, one.clicks, bar(usd(one.spent), Number(one.spent), most),
  ]));
  $('report-title').focus();
}
