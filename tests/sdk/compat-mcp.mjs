// Speaks to /mcp with the official SDK of the Model Context Protocol.
// Usage: node compat-mcp.mjs PACKAGES_FOLDER BASE_URL KEY MODEL CALLER
// MODEL answers; CALLER tells a story without an end.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';

const [packages, baseURL, key, model, caller] = process.argv.slice(2);
const load = createRequire(`${packages}/`);
const { Client } = load('@modelcontextprotocol/sdk/client/index.js');
const { StreamableHTTPClientTransport } = load('@modelcontextprotocol/sdk/client/streamableHttp.js');

async function connect(key) {
  const headers = { authorization: `Bearer ${key}` };
  const url = new URL('/mcp', baseURL);
  const client = new Client({ name: 'a test', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));
  return client;
}

const client = await connect(key);
assert.equal(client.getServerVersion().name, 'rekursing');
const { tools } = await client.listTools();
assert.ok(tools.some((tool) => tool.name === 'ask'));
const call = (name, args, options) => client.callTool({ name, arguments: args }, undefined, options);

const question = { prompt: 'Echo: blue river k7x2', model, temperature: 0 };
const estimate = (await call('estimate_cost', question)).structuredContent;
assert.ok(Number(estimate.expectedCost) <= Number(estimate.mostCost));
const heard = [];
const answer = await call('ask', question, { onprogress: ({ message }) => heard.push(message) });
assert.equal(answer.content[0].text, 'blue river k7x2');
assert.equal(heard.join(''), 'blue river k7x2');
assert.ok(answer.structuredContent.usage.completionTokens > 0);
const chosen = await call('ask', { prompt: 'Echo: k7x2', quality: 'auto', model });
assert.ok(chosen.structuredContent.choice.reasons.length > 0);
const refused = await call('ask', { prompt: 'Hello', model: 'nobody-has-this' });
assert.equal(refused.isError, true);
assert.equal(refused.structuredContent.error.code, 'model_not_found');
const stranger = await connect('rk_wrong');
assert.equal((await stranger.callTool({ name: 'usage' })).structuredContent.error.code, 'invalid_api_key');
await stranger.close();

const abort = new AbortController();
const story = call('ask', { prompt: 'Tell a long story', model: caller }, { signal: abort.signal, onprogress: () => abort.abort() });
await assert.rejects(story);
console.log('stopped');
await once(process.stdin, 'data');
await client.close();
console.log('ok');
process.exit();
