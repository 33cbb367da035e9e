import { afterEach, describe, expect, test } from 'bun:test';
import { connect } from 'node:net';
import type { Target } from '../../src/core/target.ts';
import { targetOf } from '../support/fleet.ts';
import { freePort } from '../support/free-port.ts';
import { targetFor } from '../support/gateway.ts';
import { inference, runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();

async function studioGateway(change: Parameters<typeof gateway>[1] = {}) {
  const studio = await simulator({
    kind: 'lm-studio',
    models: [{ id: 'qwen/qwen2.5-7b' }, { id: 'nomic-embed', kind: 'embedding' }],
  });
  return { studio, ...(await gateway([targetFor(studio)], change)) };
}

describe('GET /v1/models', () => {
  test('merges all targets, each id once, and survives one that is down', async () => {
    const studio = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen/qwen2.5-7b' }, { id: 'shared' }] });
    const ollama = await simulator({ kind: 'ollama', models: [{ id: 'shared' }] });
    const gone = await simulator({ kind: 'openrouter', models: [{ id: 'openai/gpt-4o' }] });
    await gone.kill();
    const { url } = await gateway([targetFor(studio), targetFor(ollama), targetFor(gone)], {
      modelAliases: new Map([['fast', 'shared']]),
    });
    const list = await (await fetch(`${url}/v1/models`)).json();
    expect(list.object).toBe('list');
    expect(list.data.map((model: { id: string }) => model.id).toSorted()).toEqual([
      'fast',
      'qwen/qwen2.5-7b',
      'shared',
    ]);
    expect(list.data[0]).toEqual({
      id: expect.any(String),
      object: 'model',
      created: expect.any(Number),
      owned_by: expect.any(String),
    });
  });

  test('one model by its id, slash and all', async () => {
    const { url } = await studioGateway();
    expect((await (await fetch(`${url}/v1/models/qwen/qwen2.5-7b`)).json()).id).toBe('qwen/qwen2.5-7b');
    expect((await (await fetch(`${url}/v1/models/qwen%2Fqwen2.5-7b`)).json()).id).toBe('qwen/qwen2.5-7b');
    const missing = await fetch(`${url}/v1/models/nope`);
    expect([missing.status, (await missing.json()).error.code]).toEqual([404, 'model_not_found']);
  });
});

describe('health', () => {
  test('/health tells each provider, and stays 200 while nothing is up', async () => {
    const { studio, url } = await studioGateway({ probeIntervalMs: 20 });
    expect(await (await fetch(`${url}/health`)).json()).toMatchObject({
      status: 'healthy',
      version: expect.any(String),
      uptime_seconds: expect.any(Number),
      providers: { lmstudio: { status: 'up', place: 'local', models: 2 } },
    });
    expect((await fetch(`${url}/ready`)).status).toBe(200);
    await studio.kill();
    let report = { status: '' };
    for (let n = 0; n < 200 && report.status !== 'unavailable'; n++) {
      await Bun.sleep(10);
      const response = await fetch(`${url}/health`);
      expect(response.status).toBe(200);
      report = await response.json();
    }
    expect(report.status).toBe('unavailable');
    expect((await fetch(`${url}/ready`)).status).toBe(503);
  });

  test('/ names the service', async () => {
    const { url } = await studioGateway();
    expect(await (await fetch(url)).json()).toMatchObject({
      service: 'SwarmRouter',
      code_name: 'Waggle',
      links: { docs: '/docs' },
    });
  });

  test('/metrics counts requests, attempts and targets', async () => {
    const { url, chat } = await studioGateway();
    await (await chat('hi')).text();
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(text).toContain('swarmrouter_requests_total{');
    expect(text).toContain('target="lmstudio"');
  });
});

const user = [{ role: 'user', content: 'hi' }];
const BAD_BODIES: readonly [string, unknown, string, string][] = [
  ['no messages', {}, 'messages', 'missing'],
  ['messages that are no list', { messages: 'hi' }, 'messages', 'must be a list'],
  ['no message at all', { messages: [] }, 'messages', 'empty'],
  ['a message that is no object', { messages: ['hi'] }, 'messages[0]', 'must be an object'],
  ['an unknown role', { messages: [{ role: 'boss', content: 'x' }] }, 'messages[0].role', 'user'],
  ['content of a wrong kind', { messages: [{ role: 'user', content: 5 }] }, 'messages[0].content', 'number 5'],
  ['a user message without content', { messages: [{ role: 'user' }] }, 'messages[0].content', 'missing'],
  ['a model that is no text', { model: 5, messages: user }, 'model', 'number 5'],
  ['a stream that is no boolean', { stream: 'yes', messages: user }, 'stream', 'true or false'],
  ['stream options of a wrong kind', { stream_options: [], messages: user }, 'stream_options', 'object'],
];

describe('bad input is refused with the field and the fix, and nothing is sent upstream', () => {
  for (const [name, body, param, words] of BAD_BODIES) {
    test(name, async () => {
      const { studio, chat } = await studioGateway();
      const response = await chat(body as object);
      const { error } = await response.json();
      expect([response.status, error.type, error.param]).toEqual([400, 'invalid_request_error', param]);
      expect(error.message).toContain(words);
      expect(inference(studio)).toEqual([]);
    });
  }

  const raw = (url: string, body: BodyInit, headers: Record<string, string> = { 'content-type': 'application/json' }) =>
    fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body });

  test('a body that is not JSON, not UTF-8, not an object, or empty', async () => {
    const { url } = await studioGateway();
    for (const body of ['{"messages":', '"text"', '[]', '', new Uint8Array([0x22, 0xff, 0x22])]) {
      const response = await raw(url, body);
      expect([response.status, (await response.json()).error.type]).toEqual([400, 'invalid_request_error']);
    }
  });

  test('JSON that nests too deep', async () => {
    const { url } = await studioGateway();
    const response = await raw(url, '['.repeat(100_000));
    expect([response.status, (await response.json()).error.code]).toEqual([400, 'json_too_deep']);
  });

  test('a body that is too large, with and without a declared size', async () => {
    const { url } = await studioGateway({ maxBodyBytes: 1_000 });
    const large = JSON.stringify({ messages: [{ role: 'user', content: 'x'.repeat(2_000) }] });
    const chunked = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(large));
        controller.close();
      },
    });
    for (const body of [large, chunked]) {
      const response = await raw(url, body);
      expect([response.status, (await response.json()).error.code]).toEqual([413, 'request_too_large']);
    }
  });

  test('another content type', async () => {
    const { url } = await studioGateway();
    const response = await raw(url, JSON.stringify({ messages: user }), { 'content-type': 'text/plain' });
    expect([response.status, (await response.json()).error.code]).toEqual([415, 'unsupported_content_type']);
  });

  test('an unknown path and a wrong method', async () => {
    const { url } = await studioGateway();
    const unknown = await fetch(`${url}/v1/nothing`);
    expect([unknown.status, (await unknown.json()).error.code]).toEqual([404, 'unknown_url']);
    const wrong = await fetch(`${url}/v1/chat/completions`);
    expect([wrong.status, wrong.headers.get('allow'), (await wrong.json()).error.code]).toEqual([
      405,
      'POST',
      'method_not_allowed',
    ]);
  });

  test('header values that mean nothing', async () => {
    const { chat } = await studioGateway();
    const cases = {
      'x-swarmrouter-place': 'moon',
      'x-swarmrouter-strict-model': 'maybe',
      'x-swarmrouter-route': 'nope',
      'x-swarmrouter-max-first-token-ms': '3600001',
    };
    for (const [name, value] of Object.entries(cases)) {
      const response = await chat('hi', { headers: { [name]: value } });
      expect([response.status, (await response.json()).error.param]).toEqual([400, name]);
    }
  });
});

describe('who is let in', () => {
  test('on loopback any credential is ignored, a foreign Host or Origin is refused', async () => {
    const { url, chat } = await studioGateway();
    expect((await chat('hi', { headers: { authorization: 'Bearer whatever' } })).status).toBe(200);
    for (const [name, value] of [
      ['host', 'evil.example'],
      ['origin', 'http://evil.example'],
      ['origin', 'null'],
    ] as const) {
      const response = await fetch(`${url}/v1/models`, { headers: { [name]: value } });
      expect([response.status, (await response.json()).error.code]).toEqual([403, 'host_not_allowed']);
    }
    expect((await fetch(`${url}/v1/models`, { headers: { origin: 'http://localhost:5173' } })).status).toBe(200);
  });

  test('two Host headers are refused', async () => {
    const { gateway: started } = await studioGateway();
    const answer = await new Promise<string>((resolve) => {
      let text = '';
      const socket = connect(started.port, '127.0.0.1', () =>
        socket.write('GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n'),
      );
      socket.on('data', (data) => {
        text += data;
      });
      socket.on('close', () => resolve(text));
    });
    expect(answer).toStartWith('HTTP/1.1 400');
  });

  test('on a network host a key is needed, and is asked for before the body is read', async () => {
    const studio = await simulator({ kind: 'lm-studio' });
    const { gateway: started, adminKey } = await gateway([targetFor(studio)], { host: '0.0.0.0' });
    const call = (headers: Record<string, string>) =>
      fetch(`http://127.0.0.1:${started.port}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ messages: user }),
      });
    const stranger = await call({});
    expect([stranger.status, (await stranger.json()).error.code]).toEqual([401, 'invalid_api_key']);
    expect((await call({ authorization: 'Bearer wrong' })).status).toBe(401);
    expect((await call({ authorization: `Bearer ${adminKey}`, 'x-api-key': adminKey })).status).toBe(400);
    expect((await call({ authorization: `Bearer ${adminKey}` })).status).toBe(200);
    expect((await call({ 'x-api-key': adminKey })).status).toBe(200);
    expect((await fetch(`http://127.0.0.1:${started.port}/health`)).status).toBe(200);
  });

  test('the request id is the client’s own when it is harmless, else a new one', async () => {
    const { url, chat } = await studioGateway();
    expect((await chat('hi', { headers: { 'x-request-id': 'mine-1' } })).headers.get('x-request-id')).toBe('mine-1');
    const odd = await fetch(`${url}/v1/nothing`, { headers: { 'x-request-id': 'a b"c' } });
    expect(odd.headers.get('x-request-id')).toMatch(/^req_[0-9a-f-]{36}$/);
  });
});

describe('a gateway that is its own target', () => {
  const relays: { stop(force: boolean): Promise<void> }[] = [];
  afterEach(async () => {
    for (const relay of relays.splice(0)) await relay.stop(true);
  });

  test('ends the loop with a clear error instead of asking itself for ever', async () => {
    const port = await freePort();
    // By its own address it would know itself at once: the way back leads through a relay, as a reverse proxy is one.
    const relay = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: (request) => {
        const headers = new Headers(request.headers);
        headers.delete('host');
        const { pathname } = new URL(request.url);
        return fetch(`http://127.0.0.1:${port}${pathname}`, { method: request.method, headers, body: request.body });
      },
    });
    relays.push(relay);
    const self: Target = {
      ...targetOf({ id: 'self', kind: 'openai-compatible', place: 'cloud', defaultModel: 'm' }),
      baseUrl: `http://127.0.0.1:${relay.port}/v1`,
    };
    const { chat, outcomes } = await gateway([self], { port, maxRetries: 0 });
    const response = await chat('hi');
    expect(response.status).toBe(502);
    expect((await response.json()).error.message).toContain('leads back to itself');
    expect(outcomes.length).toBe(4);
  });
});
