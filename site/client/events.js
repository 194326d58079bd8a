// Reads server-sent events, however the bytes are cut.

import { RekursingError, cut, malformed } from './relay.js';

const EVENT_MAX = 1 << 24;

// The relay says something every 15 seconds.
const SILENCE_MS = 45_000;

export async function* events(body, signal) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  let event = { data: [] };
  let silence;
  try {
    for (;;) {
      clearTimeout(silence);
      silence = setTimeout(() => reader.cancel().catch(() => {}), SILENCE_MS);
      const { value, done } = await reader.read();
      if (done) break;
      rest += decoder.decode(value, { stream: true });
      // A carriage return at the end may be half a line break.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === '') {
          if (event.data.length > 0) yield { ...event, data: event.data.join('\n') };
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
  } catch (cause) {
    if (cause instanceof RekursingError) throw cause;
    signal?.throwIfAborted();
    throw cut(cause);
  } finally {
    clearTimeout(silence);
    reader.cancel().catch(() => {});
  }
}
