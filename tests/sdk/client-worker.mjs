// Does in a worker what client.mjs does.

import { check } from './client.mjs';

addEventListener('message', async ({ data }) => {
  postMessage(await check(data).catch((error) => `${error.stack}`));
});
