// The account page: what the account has, what it spent, and on what. All figures are the relay's.

import './told.js';
import { call } from './holder.js';
import { door } from './door.js';
import { lead, showDisputes } from './disputes.js';
import { receipt, showEntries } from './entries.js';
import { showGpus } from './gpus.js';
import { showGroups } from './groups.js';
import { showKeys } from './keys.js';
import { showMoney } from './money.js';
import { showTeam } from './team.js';
import { showUsage } from './usage.js';

door('key', async () => {
  // This one wants a key without limits, so it tells first whether this is one.
  const { plugins } = await call('/api/account/plugins');
  const [account, { keys }] = await Promise.all([call('/api/account'), call('/api/account/keys')]);
  showMoney(account);
  showKeys(keys);
  showUsage(account, keys);
  showGroups(account.groups);
  showGpus(plugins);
  await Promise.all([showTeam(), showDisputes(), showEntries()]);
  const job = asked();
  // Once the page is there.
  if (job) setTimeout(async () => (await receipt(job)) && lead());
});

/** The job that an address of this page names, to be disputed. */
function asked() {
  const { search, hash } = location;
  return /^[?#](?:.*&)?(?:job=)?(job_\w+)/.exec(search)?.[1] ?? /^#(?:job=)?(job_\w+)/.exec(hash)?.[1];
}
