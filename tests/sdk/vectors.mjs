// Asks /v1/embeddings with the official OpenAI SDK. Usage: node vectors.mjs SDK_FOLDER BASE_URL KEY MODEL

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const [sdk, baseURL, apiKey, model] = process.argv.slice(2);
const { default: OpenAI } = createRequire(`${sdk}/`)('openai');
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
// Unasked the SDK wants Base64, and makes lists of it itself.
for (const asked of [{}, { encoding_format: 'float' }]) {
  const answer = await client.embeddings.create({ model, input: ['red', 'blue'], ...asked });
  const vectors = answer.data.map(({ embedding }) => embedding);
  assert.deepEqual(vectors, [[0.5, -2, 0.25], [1, 0, 0]]);
  assert.equal(answer._request_id, answer.rekursing.jobId);
}
