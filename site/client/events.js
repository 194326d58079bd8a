// Reads server-sent events, however the bytes are cut.

import { broken, malformed } from './relay.js';

const EVENT_MAX = 1 << 24;

// The relay says something every 15 seconds, if only a comment.
const SILENCE_MS = 45_000;

// Calls anew where the connection breaks.
export async function* follow(call, patience, signal) {
  for (;;) {
    try {
      const { body } = await call();
      for await (const event of events(body, signal)) {
        patience.renew();
        if (event.data) yield event;
      }
      broken(signal)();
    } catch (error) {
      await patience.wait(error, signal);
    }
  }
}

export async function* events(body, signal) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  let event = { data: [] };
  try {
    for (;;) {
      const silence = setTimeout(() => reader.cancel().catch(() => {}), SILENCE_MS);
      const { value, done } = await reader.read().catch(broken(signal)).finally(() => clearTimeout(silence));
      if (done) break;
      rest += decoder.decode(value, { stream: true });
      // A carriage return at the end may be half a line break.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === '') {
          yield { ...event, data: event.data.join('\n') };
          event = { data: [] };
          continue;
        }
        const [, field, content] = /^([^:]*):? ?(.*)$/s.exec(line);
        if (field === 'id') event.id = content;
        if (field === 'event') event.name = content;
        if (field === 'data') event.data.push(content);
      }
      if (rest.length > EVENT_MAX) throw malformed();
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
