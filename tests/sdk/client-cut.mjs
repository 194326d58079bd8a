// Asks over a line that breaks all the time, in Node or in a page: every answer must be the same, to the byte.
// In Node: node client-cut.mjs LIBRARY RELAY MODEL TEXT TIMES [KEY]

export async function check({ library, relay, model, text, times, key }) {
  const { GPUStreamingClient } = await import(library);
  const client = new GPUStreamingClient(relay, { key });
  for (let time = 0; time < times; time += 1) {
    const types = [];
    let heard = '';
    for await (const event of client.stream('go', { model })) {
      if (event.type === 'token') heard += event.text;
      else types.push(event.type);
    }
    if (heard !== text) throw new Error(`heard ${JSON.stringify(heard)}`);
    if (`${types}` !== 'start,done') throw new Error(`events ${types}`);
  }
  return 'ok';
}

if (globalThis.process?.argv) {
  const [library, relay, model, text, times, key] = process.argv.slice(2);
  console.log(await check({ library, relay, model, text, times: Number(times), key }));
}
