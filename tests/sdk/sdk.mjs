// Speaks to /v1 with the official OpenAI SDK. Usage: node sdk.mjs SDK_FOLDER BASE_URL KEY MODEL CALLER
// MODEL answers; CALLER calls a tool: whole, then streamed, and the same again for responses; it says "There is
// sun" to what the tool found, breaks a poem off behind "one", and tells a story without an end.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';

const [sdk, baseURL, apiKey, model, caller] = process.argv.slice(2);
const { default: OpenAI, APIError, APIUserAbortError, AuthenticationError, NotFoundError } = createRequire(`${sdk}/`)('openai');
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });

const listed = await client.models.list();
assert.ok(listed.data.some(({ id }) => id === model));

const messages = [{ role: 'user', content: 'Echo: blue river k7x2' }];
const whole = await client.chat.completions.create({ model, messages, temperature: 0 });
assert.equal(whole.choices[0].message.content, 'blue river k7x2');
assert.ok(whole.usage.completion_tokens > 0);
assert.equal(whole._request_id, whole.rekursing.jobId);

const stream = await client.chat.completions.create({
  model,
  messages,
  temperature: 0,
  stream: true,
  stream_options: { include_usage: true },
});
let text = '';
let last;
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta.content ?? '';
  last = chunk;
}
assert.equal(text, 'blue river k7x2');
assert.ok(last.usage.completion_tokens > 0);

const asked = {
  model: caller,
  messages: [{ role: 'user', content: 'What is the weather in Paris?' }],
  tools: [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } }],
};
const called = await client.chat.completions.create(asked);
assert.equal(called.choices[0].finish_reason, 'tool_calls');
assert.equal(called.choices[0].message.tool_calls[0].function.arguments, '{"city": "Paris"}');
const streamed = await client.chat.completions.stream(asked).finalChatCompletion();
assert.equal(streamed.choices[0].finish_reason, 'tool_calls');
assert.equal(streamed.choices[0].message.tool_calls[0].function.arguments, '{"city": "Paris"}');
const { role, tool_calls } = streamed.choices[0].message;
const found = { role: 'tool', tool_call_id: tool_calls[0].id, content: 'sun in Paris' };
const told = { ...asked, messages: [...asked.messages, { role, content: null, tool_calls }, found] };
assert.equal((await client.chat.completions.create(told)).choices[0].message.content, 'There is sun');
assert.equal(await client.chat.completions.stream(told).finalContent(), 'There is sun');

const question = { model, input: 'Echo: blue river k7x2', temperature: 0 };
const response = await client.responses.create(question);
assert.equal(response.output_text, 'blue river k7x2');
assert.ok(response.usage.output_tokens > 0);
let pieces = '';
let ended;
for await (const event of await client.responses.create({ ...question, stream: true })) {
  if (event.type === 'response.output_text.delta') pieces += event.delta;
  ended = event;
}
assert.equal(pieces, 'blue river k7x2');
assert.equal(ended.type, 'response.completed');
const functions = {
  model: caller,
  input: 'What is the weather in Paris?',
  tools: [{ type: 'function', name: 'weather', parameters: { type: 'object', properties: {} }, strict: false }],
};
const [call] = (await client.responses.create(functions)).output;
assert.deepEqual([call.type, call.name, call.arguments], ['function_call', 'weather', '{"city": "Paris"}']);
const [grown] = (await client.responses.stream(functions).finalResponse()).output;
assert.deepEqual([grown.type, grown.arguments], ['function_call', '{"city": "Paris"}']);
const output = { type: 'function_call_output', call_id: call.call_id, output: 'sun in Paris' };
const { type, call_id, name, arguments: given } = call;
const back = { ...functions, input: [{ role: 'user', content: functions.input }, { type, call_id, name, arguments: given }, output] };
assert.equal((await client.responses.create(back)).output_text, 'There is sun');
assert.equal((await client.responses.stream(back).finalResponse()).output_text, 'There is sun');

const colours = ['ultramarine', 'vermilion'];
const schema = {
  type: 'object',
  properties: { colour: { type: 'string', enum: colours } },
  required: ['colour'],
  additionalProperties: false,
};
const paint = { name: 'paint', strict: true, schema };
const sky = { model, messages: [{ role: 'user', content: 'What colour is the sky?' }], temperature: 0 };
const structured = { ...sky, response_format: { type: 'json_schema', json_schema: paint } };
const painted = await client.chat.completions.parse(structured);
assert.ok(colours.includes(JSON.parse(painted.choices[0].message.content).colour));
const repainted = await client.chat.completions.stream(structured).finalContent();
assert.ok(colours.includes(JSON.parse(repainted).colour));
const format = { type: 'json_schema', ...paint };
const input = 'What colour is the sky?';
const held = await client.responses.parse({ model, input, temperature: 0, text: { format } });
assert.ok(colours.includes(JSON.parse(held.output_text).colour));

for (const stream of [false, true]) {
  await assert.rejects(client.chat.completions.create({ model: 'nobody-has-this', messages, stream }), (error) => {
    assert.ok(error instanceof NotFoundError);
    assert.equal(error.code, 'model_not_found');
    return true;
  });
  // Who may answer, in OpenRouter's words.
  const nobody = { model, messages, stream, provider: { only: ['plg_00000000000000000000000000'] } };
  await assert.rejects(client.chat.completions.create(nobody), { status: 503, code: 'provider_unavailable' });
}
const somebody = { model, messages, provider: { ignore: ['plg_00000000000000000000000000'], max_price: { prompt: 100 } } };
assert.ok((await client.chat.completions.create(somebody)).choices[0].message.content);
const stranger = new OpenAI({ baseURL, apiKey: 'rk_wrong', maxRetries: 0 });
await assert.rejects(stranger.chat.completions.create({ model, messages }), AuthenticationError);

let heard = '';
const poem = { model: caller, messages: [{ role: 'user', content: 'Begin a poem' }], stream: true };
await assert.rejects(async () => {
  for await (const { choices } of await client.chat.completions.create(poem)) heard += choices[0]?.delta.content ?? '';
}, (error) => error instanceof APIError && error.code === 'provider_failed');
assert.equal(heard, 'one');

const abort = new AbortController();
const tale = { model: caller, messages: [{ role: 'user', content: 'Tell a long story' }], stream: true };
const silence = { model: caller, messages: [{ role: 'user', content: 'Say nothing' }] };
const soon = { signal: AbortSignal.timeout(1_000) };
await assert.rejects(client.chat.completions.create(silence, soon), APIUserAbortError);
const story = await client.chat.completions.create(tale, { signal: abort.signal });
for await (const { choices } of story) if (choices[0]?.delta.content) break;
abort.abort();
console.log('stopped');
await once(process.stdin, 'data');
console.log('ok');
process.exit();
