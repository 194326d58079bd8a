// The weights of the model in the browser: one file in the origin's private file system, and what storage
// says of it under `weights`. Pages, the agent's document and the worker that copies all use it.
//
//   name    the file's name without `.gguf`, as pages see it
//   bytes   how long the whole file is
//   at      how much of it is there; it runs only when that is all
//   from    the address that it is fetched from, for weights of an address
//   origin  Chrome's pattern of its host, where the owner's permission is needed: it is on loan
//   etag    which state of it, where its server tells
//   wanted  the SHA-256 that it must come to, where the owner has given it
//   sha256  what it came to, once it is whole
//   stamp   when it was chosen, so that other weights of the same name are others
//   tries   how often the owner has asked to load it again
//   on      whether it runs
//   fault   why copying has stopped, as a key of the messages

/** The directory and the file; a name of the owner's never becomes a path. */
const FOLDER = 'weights';
const FILE = 'model.gguf';

/** Longest file, in bytes. The wasm has 4 GiB in all, for weights, context and work. */
export const BYTES_MAX = 3 * 2 ** 30;

/** Tells whether all of the weights are there and the owner wants them to run. */
export function isOn(weights) {
  return isWhole(weights) && weights.on === true;
}

export function isWhole(weights) {
  return Boolean(weights) && weights.bytes > 0 && weights.at === weights.bytes;
}

/** Gives the handle of the file; it is made where it is missing. */
export async function handle() {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle(FOLDER, { create: true });
  return folder.getFileHandle(FILE, { create: true });
}

/** How often and how far apart in milliseconds it is tried to delete a file that is being read or written. */
const [TRIES, TRY_EVERY] = [20, 100];

/** Deletes the file. Whoever copies it or runs it lets go of it a moment later. */
export async function remove() {
  const root = await navigator.storage.getDirectory();
  for (let left = TRIES; ; left -= 1) {
    const error = await root.removeEntry(FOLDER, { recursive: true }).then(() => undefined, (error) => error);
    if (!error || error.name === 'NotFoundError') return;
    if (left === 0) throw error;
    await new Promise((done) => setTimeout(done, TRY_EVERY));
  }
}
