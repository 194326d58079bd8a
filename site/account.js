// The account page: what the account has, what it spent, and on what. All figures are the relay's.

import './told.js';
import { call } from './holder.js';
import { door } from './door.js';
import { showDisputes } from './disputes.js';
import { showEntries } from './entries.js';
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
});
