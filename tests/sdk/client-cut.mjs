// Asks over a line that breaks all the time: node client-cut.mjs LIBRARY RELAY MODEL TEXT HOW_OFTEN [KEY]
// Every answer must be the same, to the byte.

const [library, relay, model, text, times, key] = process.argv.slice(2);
const { GPUStreamingClient } = await import(library);
const client = new GPUStreamingClient(relay, { key });
for (let time = 0; time < Number(times); time += 1) {
  const types = [];
  let heard = '';
  for await (const event of client.stream('go', { model })) {
    if (event.type === 'token') heard += event.text;
    else types.push(event.type);
  }
  if (heard !== text) throw new Error(`heard ${JSON.stringify(heard)}`);
  if (`${types}` !== 'start,done') throw new Error(`events ${types}`);
}
console.log('ok');
