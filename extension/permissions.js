// What Chrome lets the extension reach beyond the manifest: the owner allows it host by host.

/** Gives back the owner's permission for every host but these, as Chrome's patterns name them. */
export async function release(needed = []) {
  const { origins } = await chrome.permissions.getAll();
  const kept = [...chrome.runtime.getManifest().host_permissions, ...needed];
  const spare = origins.filter((origin) => !kept.includes(origin));
  if (spare.length > 0) await chrome.permissions.remove({ origins: spare });
}
