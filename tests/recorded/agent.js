// Stands in for the agent: gives a page a recorded state and the relay's recorded answers.
// RECORDED is put in front of this text: {state, answers: {what: [status, body]}}.

chrome.runtime.connect = () => {
  const listeners = [];
  const later = (message) => setTimeout(() => listeners.forEach((listener) => listener(structuredClone(message))));
  globalThis.wanted = [];
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
