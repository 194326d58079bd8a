// Completes code as an editor does (Continue and its like): streamed, with the text behind the cursor, ended
// by stop sequences, and broken off as the user types on. Nothing but `fetch`.
// Usage: node compat-completion.mjs BASE_URL KEY MODEL CALLER
// MODEL answers; CALLER tells a story without an end.

import assert from 'node:assert/strict';
import { once } from 'node:events';

const [baseURL, apiKey, model, caller] = process.argv.slice(2);

function complete(body, signal) {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
  return fetch(`${baseURL}/completions`, { method: 'POST', headers, body: JSON.stringify(body), signal });
}

async function* chunks(response) {
  let rest = '';
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (line === 'data: [DONE]') return;
      if (line.startsWith('data: ')) yield JSON.parse(line.slice('data: '.length));
    }
  }
  throw new Error('a stream without its end');
}

const asked = { model, prompt: 'Once upon a time', max_tokens: 64, temperature: 0 };
const [free] = (await (await complete(asked)).json()).choices;
assert.ok(free.text.includes('.'), free.text);

const ended = { ...asked, stop: ['.', '\n\n'] };
const [whole] = (await (await complete(ended)).json()).choices;
assert.equal(whole.text, free.text.slice(0, free.text.indexOf('.')));
assert.equal(whole.finish_reason, 'stop');
let text = '';
let reason;
for await (const { choices } of chunks(await complete({ ...ended, stream: true }))) {
  text += choices[0]?.text ?? '';
  reason = choices[0]?.finish_reason ?? reason;
}
assert.equal(text, whole.text);
assert.equal(reason, 'stop');

for (const stream of [false, true]) {
  const refused = await complete({ ...asked, model: 'nobody-has-this', stream });
  assert.equal(refused.status, 404);
  assert.equal((await refused.json()).error.code, 'model_not_found');
}

const typing = new AbortController();
const middle = { model: caller, prompt: 'def long_story(', suffix: '\n    return story', stop: ['\n\n'], stream: true };
const reader = chunks(await complete(middle, typing.signal));
assert.equal((await reader.next()).value.choices[0].text, 'one');
typing.abort();
console.log('stopped');
await once(process.stdin, 'data');
console.log('ok');
process.exit();
