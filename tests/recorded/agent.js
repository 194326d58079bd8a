// Stands in for the agent: gives a page a recorded state and the relay's recorded answers.
// RECORDED is put in front of this text: {state, answers: {what: [status, body]}, stored, now, mirrored}.

const Clock = Date;
globalThis.Date = class extends Clock {
  constructor(...parts) {
    super(...(parts.length > 0 ? parts : [RECORDED.now]));
  }

  static now() {
    return RECORDED.now;
  }
};

const listeners = [];
const later = (message) => setTimeout(() => listeners.forEach((listener) => listener(structuredClone(message))));
/** Tells the page another state. */
globalThis.tellState = (state) => listeners.forEach((listener) => listener(structuredClone(state)));
globalThis.wanted = [];

chrome.storage.local.get = async () => structuredClone(RECORDED.stored);
chrome.runtime.connect = () => {
  later(RECORDED.state);
  return {
    onMessage: { addListener: (listener) => listeners.push(listener) },
    onDisconnect: { addListener() {} },
    postMessage(message) {
      globalThis.wanted.push(message);
      if (message.type !== 'want' || !(message.what in RECORDED.answers)) return;
      const [status, body] = RECORDED.answers[message.what];
      later({ type: 'got', id: message.id, status, body: typeof body === 'string' ? body : JSON.stringify(body) });
    },
  };
};

if (RECORDED.mirrored) {
  const message = chrome.i18n.getMessage;
  chrome.i18n.getMessage = (key, ...values) => (key === '@@bidi_dir' ? 'rtl' : message(key, ...values));
}
