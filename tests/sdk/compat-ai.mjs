// Speaks to /v1 with the Vercel AI SDK and its OpenAI-compatible provider.
// Usage: node compat-ai.mjs PACKAGES_FOLDER BASE_URL KEY MODEL CALLER
// MODEL answers; CALLER calls a tool, whole and then streamed, says "There is sun" to what the tool found,
// breaks a poem off behind "one", and tells a story without an end.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';

const [packages, baseURL, apiKey, model, caller] = process.argv.slice(2);
const load = createRequire(`${packages}/`);
const { APICallError, Output, generateText, streamText, tool } = load('ai');
const { createOpenAICompatible } = load('@ai-sdk/openai-compatible');
const { z } = load('zod');
const rekursing = createOpenAICompatible({
  name: 'rekursing',
  baseURL,
  apiKey,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const ask = (name, prompt) => ({ model: rekursing(name), prompt, temperature: 0, maxRetries: 0 });

const whole = await generateText(ask(model, 'Echo: blue river k7x2'));
assert.equal(whole.text, 'blue river k7x2');
assert.ok(whole.usage.outputTokens > 0);
const stream = streamText(ask(model, 'Echo: blue river k7x2'));
let text = '';
for await (const piece of stream.textStream) text += piece;
assert.equal(text, 'blue river k7x2');
assert.ok((await stream.usage).outputTokens > 0);
assert.equal(await stream.finishReason, 'stop');

const weather = tool({ description: 'Tells the weather.', inputSchema: z.object({ city: z.string() }) });
const question = { ...ask(caller, 'What is the weather in Paris?'), tools: { weather } };
const called = await generateText(question);
assert.equal(called.finishReason, 'tool-calls');
assert.deepEqual([called.toolCalls[0].toolName, called.toolCalls[0].input], ['weather', { city: 'Paris' }]);
const [grown] = await streamText(question).toolCalls;
assert.deepEqual([grown.toolName, grown.input], ['weather', { city: 'Paris' }]);
const { prompt, ...able } = question;
const { toolCallId, toolName, input } = grown;
const found = { type: 'tool-result', toolCallId, toolName, output: { type: 'text', value: 'sun in Paris' } };
const messages = [
  { role: 'user', content: prompt },
  { role: 'assistant', content: [{ type: 'tool-call', toolCallId, toolName, input }] },
  { role: 'tool', content: [found] },
];
assert.equal((await generateText({ ...able, messages })).text, 'There is sun');
assert.equal(await streamText({ ...able, messages }).text, 'There is sun');

const paint = z.object({ colour: z.enum(['ultramarine', 'vermilion']) });
const painted = await generateText({
  ...ask(model, 'What colour is the sky?'),
  output: Output.object({ schema: paint }),
});
paint.parse(painted.output);
const painting = streamText({ ...ask(model, 'What colour is the sky?'), output: Output.object({ schema: paint }) });
paint.parse(await painting.output);

/** The error with which a stream ends, and what was heard before. */
async function broken(asked) {
  let text = '';
  for await (const part of streamText({ ...asked, onError: () => {} }).fullStream) {
    if (part.type === 'text-delta') text += part.text;
    if (part.type === 'error') return [text, part.error];
  }
  throw new Error(`it ended well behind ${text}`);
}

const unknown = (error) => {
  assert.ok(APICallError.isInstance(error), error);
  assert.equal(error.statusCode, 404);
  assert.equal(error.data.error.code, 'model_not_found');
  return true;
};
await assert.rejects(generateText(ask('nobody-has-this', 'Hello')), unknown);
unknown((await broken(ask('nobody-has-this', 'Hello')))[1]);

// Who may answer, in OpenRouter's words.
const wish = (provider) => ({ ...ask(model, 'Hello'), providerOptions: { rekursing: { provider } } });
assert.ok((await generateText(wish({ ignore: ['plg_00000000000000000000000000'] }))).text);
await assert.rejects(generateText(wish({ only: ['plg_00000000000000000000000000'] })), { statusCode: 503 });

const [heard, error] = await broken(ask(caller, 'Begin a poem'));
assert.equal(heard, 'one');
assert.match(`${error.message ?? error}`, /the answer broke off/);

const abort = new AbortController();
const story = streamText({ ...ask(caller, 'Tell a long story'), abortSignal: abort.signal });
const reader = story.textStream[Symbol.asyncIterator]();
assert.ok((await reader.next()).value);
abort.abort();
console.log('stopped');
await once(process.stdin, 'data');
console.log('ok');
process.exit();
