// What Chrome lets the extension reach beyond the manifest: the owner allows it host by host.

/** Gives back the owner's permission for every host but these, as Chrome's patterns name them. */
export async function release(needed = []) {
  const { origins } = await chrome.permissions.getAll();
  const kept = [...chrome.runtime.getManifest().host_permissions, ...needed];
  const spare = origins.filter((origin) => !kept.includes(origin));
  if (spare.length > 0) await chrome.permissions.remove({ origins: spare });
}

/** The rule through which weights are fetched: see door.rs. */
const DOOR = 1000;

/** Opens the door in the fence through which weights come. The rule is one of this session: it is gone when Chrome is closed. */
export function open(rule) {
  return chrome.declarativeNetRequest.updateSessionRules({ removeRuleIds: [DOOR], addRules: [rule] });
}

/** Closes the door, and gives the permission for its host back unless the relay or a model server is there too. */
export async function shut() {
  await chrome.declarativeNetRequest.updateSessionRules({ removeRuleIds: [DOOR] });
  const { weights = {}, config = {} } = await chrome.storage.local.get(['weights', 'config']);
  const { origin, from } = weights;
  if (!origin) return;
  const needed = [config.relay, ...(config.servers ?? []).map((server) => server.address ?? server)];
  if (needed.every((address) => hostOf(address) !== hostOf(from))) await chrome.permissions.remove({ origins: [origin] });
}

/** Closes a door that was left open: the page that fetches, or Chrome, has been closed or has crashed without a word. */
export async function shutBehind() {
  const page = { contextTypes: ['TAB'], documentUrls: [chrome.runtime.getURL('browser.html')] };
  if ((await chrome.runtime.getContexts(page)).length > 0) return;
  const { weights } = await chrome.storage.local.get('weights');
  const lent = weights?.origin && (await chrome.permissions.contains({ origins: [weights.origin] }));
  const rules = await chrome.declarativeNetRequest.getSessionRules();
  if (lent || rules.length > 0) await shut();
}

function hostOf(address) {
  try {
    return new URL(address).hostname;
  } catch {
    return undefined;
  }
}
