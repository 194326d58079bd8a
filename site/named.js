// What providers and their GPUs are called, the same on every page.

/** Gives what a GPU is called; nothing where that says that nobody knows. */
export function known(gpu) {
  return /^(Unknown|No) GPU/.test(gpu ?? '') ? '' : (gpu ?? '');
}

/** Gives what a provider is called: whoever has no name is known by the end of his id. */
export function nameOf({ id, name } = {}) {
  return name || (typeof id === 'string' && id !== '' ? `Provider ${id.slice(-6)}` : '');
}
