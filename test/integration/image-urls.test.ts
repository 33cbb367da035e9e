import { afterEach, expect, test } from 'bun:test';
import { targetFor } from '../support/gateway.ts';
import { inference, runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const servers: ReturnType<typeof Bun.serve>[] = [];
afterEach(() => Promise.all(servers.splice(0).map((server) => server.stop(true))));

test('S-06 L-08 an address in a request is text for the model’s server: the gateway itself never asks it', async () => {
  let hits = 0;
  const stranger = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch() {
      hits++;
      return new Response('an image');
    },
  });
  servers.push(stranger);
  const cloud = await simulator({ kind: 'openai-compatible', models: [{ id: 'qwen' }] });
  const on = await gateway([targetFor(cloud, { place: 'cloud' })]);
  const url = `http://127.0.0.1:${stranger.port}/picture.png`;
  const messages = [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'what is this?' },
        { type: 'image_url', image_url: { url } },
        { type: 'input_audio', input_audio: { data: url, format: 'wav' } },
      ],
    },
  ];
  const more = {
    api_base: url,
    base_url: url,
    endpoint: url,
    provider: { base_url: url },
    provider_options: { baseUrl: url },
  };
  for (const stream of [true, false]) {
    const reply = await on.chat(
      { model: 'qwen', messages, stream, ...more },
      { headers: { 'x-base-url': url, 'api-base': url } },
    );
    await reply.text();
    expect(reply.status).toBe(200);
  }
  expect(hits).toBe(0);
  const asked = inference(cloud);
  expect(asked).toHaveLength(2);
  // As it was sent: what becomes of it is the server's matter.
  for (const request of asked) expect(JSON.stringify(request.body)).toContain(url);
});
