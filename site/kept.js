// What is kept of the pages: in this tab, or in this browser. Where the browser has no room for it, or keeps nothing of
// this site, the page keeps it itself for as long as it is open.

/** What a browser throws for the name of its store alone is thrown in here, where it is caught. */
function store(open) {
  const own = new Map();
  return {
    own,

    /** Gives the text that is kept under a name, or null. */
    read(name) {
      if (own.has(name)) return own.get(name);
      try {
        return open().getItem(name);
      } catch {
        return null;
      }
    },

    write(name, text) {
      own.delete(name);
      try {
        open().setItem(name, text);
      } catch {
        own.set(name, text);
      }
    },

    remove(name) {
      own.delete(name);
      try {
        open().removeItem(name);
      } catch {
        // Nothing is there.
      }
    },
  };
}

export const inTab = store(() => sessionStorage);
export const inBrowser = store(() => localStorage);

// What another page was able to keep is newer.
addEventListener('storage', ({ key }) => (key === null ? inBrowser.own.clear() : inBrowser.own.delete(key)));
