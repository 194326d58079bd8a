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
  // The address may name a job whose receipt is to be seen, or that is to be disputed.
  const address = new URLSearchParams(location.search);
  const job = address.get('job') ?? address.get('receipt');
  // Once the page is there.
  if (job) setTimeout(async () => (await receipt(job)) && address.has('job') && lead());
});
