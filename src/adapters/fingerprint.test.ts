import { describe, expect, test } from 'bun:test';
import { faultParts, targetFor } from '../../test/support/fault-parts.ts';
import { until } from '../../test/support/gateway.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { growthOf } from '../../test/support/memory.ts';
import { gzipBomb, httpReply, type RawAnswer, writeForEver } from '../../test/support/raw-server.ts';
import { systemClock } from '../system-clock.ts';
import { createFingerprinter, type Fingerprint } from './index.ts';

const parts = faultParts();
const identify = createFingerprinter({ clock: systemClock });
const at = (url: string, signal = new AbortController().signal): Promise<Fingerprint | null> => identify(url, signal);

/** A server whose paths answer with this JSON (or this text), others as `otherwise` says. */
async function serving(paths: Readonly<Record<string, unknown>>, otherwise: RawAnswer = notFound): Promise<string> {
  const { port } = await parts.rawServer({
    chat: notFound,
    listing: (exchange) => {
      const { path } = exchange.request;
      if (!Object.hasOwn(paths, path)) return otherwise(exchange);
      const body = paths[path];
      exchange.socket.write(httpReply(typeof body === 'string' ? body : JSON.stringify(body)));
    },
  });
  return `http://127.0.0.1:${port}`;
}

const notFound: RawAnswer = ({ socket }) => void socket.write(httpReply('{}', { status: '404 Not Found' }));
const always =
  (body: string, headers: Record<string, string> = {}): RawAnswer =>
  ({ socket }) =>
    void socket.write(httpReply(body, headers));

describe('a model server is known by what it answers', () => {
  const KINDS = [
    ['lm-studio', null],
    ['ollama', '0.13.5'],
    ['llama-cpp', /./],
    ['vllm', '0.32.0'],
    ['sglang', null],
    ['openai-compatible', null],
  ] as const;
  for (const [kind, version] of KINDS) {
    test(`${kind}, with its version where it has one`, async () => {
      const simulator = await parts.simulator({ kind });
      const found = await at(simulator.url);
      expect(found?.kind).toBe(kind);
      if (version instanceof RegExp) expect(found?.version).toMatch(version);
      else expect(found?.version).toBe(version);
      // Nobody's key is given to a stranger, and nothing is generated.
      expect(simulator.log.filter(({ headers }) => 'authorization' in headers || 'api-key' in headers)).toEqual([]);
      expect(simulator.log.every(({ method }) => method === 'GET')).toBe(true);
    });
  }

  for (const kind of ['lm-studio', 'llama-cpp'] as const) {
    test(`${kind} that wants a key`, async () => {
      const simulator = await parts.simulator({ kind, apiKey: 'sk-not-for-strangers' });
      expect((await at(simulator.url))?.kind).toBe(kind);
    });
  }

  test('vLLM that wants a key', async () => {
    const url = await serving({ '/version': { version: '0.32.0' }, '/v1/models': { error: 'Unauthorized' } });
    expect(await at(url)).toEqual({ kind: 'vllm', version: '0.32.0' });
  });

  test('llama.cpp that still loads its model', async () => {
    expect((await at((await parts.simulator({ kind: 'llama-cpp', loading: true })).url))?.kind).toBe('llama-cpp');
  });

  test('another SwarmRouter, so that it is not taken for the servers behind it', async () => {
    const simulator = await parts.simulator({ kind: 'vllm' });
    const started = await parts.gateway([targetFor(simulator)]);
    expect(await at(started.url)).toMatchObject({ kind: 'swarmrouter' });
  });

  test('LM Studio of any age answers paths it does not know with 200, and is no other server for that', async () => {
    const unexpected = always(JSON.stringify({ error: 'Unexpected endpoint or method. (GET /x)' }));
    expect(await at(await serving({}, unexpected))).toBeNull();
    const older = await serving({ '/lmstudio-greeting': { lmstudio: true } }, unexpected);
    expect(await at(older)).toEqual({ kind: 'lm-studio', version: null });
  });

  test('a gateway that hands on what servers of several kinds say of themselves is none of them', async () => {
    const data = ['vllm', 'sglang', 'llamacpp'].map((owned_by) => ({ id: `m-${owned_by}`, owned_by }));
    expect((await at(await serving({ '/v1/models': { data } })))?.kind).toBe('openai-compatible');
    const [own] = data;
    expect((await at(await serving({ '/v1/models': { data: [own] } })))?.kind).toBe('vllm');
  });

  test('a version alone makes neither an Ollama nor a vLLM', async () => {
    expect(await at(await serving({ '/api/version': { version: '0.6.1' }, '/': '<html>' }))).toBeNull();
    expect(await at(await serving({ '/version': { version: '2.0' } }))).toBeNull();
    const behindProxy = await serving({ '/api/version': { version: '0.6.1' }, '/api/tags': { models: [] } });
    expect(await at(behindProxy)).toEqual({ kind: 'ollama', version: '0.6.1' });
  });
});

describe('a hostile server is no model server, and costs little', () => {
  const FIFTY_MEGABYTES = 50_000_000;
  const PIECE = 'a'.repeat(64_000);
  const OK = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';
  const forEver =
    (head: string, bytes: string): RawAnswer =>
    async ({ socket }) => {
      socket.write(head);
      await writeForEver(socket, bytes, FIFTY_MEGABYTES);
    };
  const HOSTILE: readonly (readonly [string, RawAnswer])[] = [
    ['fifty megabytes with a length', forEver(`${OK}content-length: ${FIFTY_MEGABYTES}\r\n\r\n`, PIECE)],
    ['fifty megabytes without one', forEver(`${OK}connection: close\r\n\r\n`, PIECE)],
    ['endless headers', forEver('HTTP/1.1 200 OK\r\n', `x-more: ${PIECE}\r\n`)],
    ['HTML on every path', always('<html><title>Ollama is running</title></html>', { 'content-type': 'text/html' })],
    ['JSON of other shapes', always('[{"id": "m"}, 1, null]')],
    ['a list whose items have no names', always('{"object": "list", "data": [{"name": "m"}, 7]}')],
    ['bytes that are no text', ({ socket }) => void socket.write(httpReply(new Uint8Array([0xff, 0x00, 0xfe])))],
    ['something that is no HTTP', ({ socket }) => void socket.end('SSH-2.0-OpenSSH_9.6\r\n')],
    ['a connection that is closed', ({ socket }) => void socket.destroy()],
  ];
  for (const [name, answer] of HOSTILE) {
    test(name, async () => {
      const server = await parts.rawServer({ chat: answer, listing: answer });
      const { result, megabytes } = await growthOf(() => at(`http://127.0.0.1:${server.port}`));
      expect(result).toBeNull();
      expect(megabytes).toBeLessThan(150);
    });
  }

  test('half a gigabyte packed into half a megabyte', async () => {
    const bomb = httpReply(await gzipBomb(500), { 'content-encoding': 'gzip' });
    const answer: RawAnswer = ({ socket }) => void socket.write(bomb);
    const server = await parts.rawServer({ chat: answer, listing: answer });
    const { result, megabytes } = await growthOf(() => at(`http://127.0.0.1:${server.port}`));
    expect(result).toBeNull();
    expect(megabytes).toBeLessThan(100);
  });

  test('a redirect is not followed, not even to a model server', async () => {
    const real = await parts.simulator({ kind: 'ollama' });
    const location = `${real.url}/api/version`;
    const url = await serving({}, ({ socket }) => void socket.write(httpReply('', { status: '302 Found', location })));
    expect(await at(url)).toBeNull();
    expect(real.log).toEqual([]);
  });

  for (const [when, sent] of [
    ['before its first byte', ''],
    ['in the middle of its answers', `${OK}content-length: 100\r\n\r\n{`],
  ] as const) {
    test(`one that falls silent ${when}, on all questions, is given up after the time of one`, async () => {
      const clock = new ManualClock();
      const server = await parts.rawServer({ chat: notFound, listing: ({ socket }) => void socket.write(sent) });
      const answer = createFingerprinter({ clock })(`http://127.0.0.1:${server.port}`, new AbortController().signal);
      await until('all questions are asked', () => server.connections() >= 8);
      // Their heads have been read by then: only the clock of the whole question still runs.
      if (sent !== '') await until('no other clock runs', () => clock.pendingTimers === 1);
      await clock.advance(2_000);
      expect(await answer).toBeNull();
      await until('no connection is left', () => server.connections() === 0);
    });
  }

  test('one that never finishes what decides nothing does not hold up what does', async () => {
    const greeting = httpReply('{"lmstudio": true}');
    const server = await parts.rawServer({
      chat: notFound,
      listing: ({ request, socket }) => {
        if (request.path === '/lmstudio-greeting') socket.write(greeting);
        else if (request.path === '/') socket.write(httpReply('{}'));
      },
    });
    const clock = new ManualClock();
    const identifyNow = createFingerprinter({ clock });
    const found = await identifyNow(`http://127.0.0.1:${server.port}`, new AbortController().signal);
    expect(found?.kind).toBe('lm-studio');
    await until('no connection is left', () => server.connections() === 0);
  });

  test('the asker may lose interest at any time', async () => {
    const server = await parts.rawServer({ chat: notFound, listing: () => undefined });
    const asker = new AbortController();
    const answer = at(`http://127.0.0.1:${server.port}`, asker.signal);
    await until('it is asked', () => server.connections() > 0);
    asker.abort();
    expect(await answer).toBeNull();
    await until('no connection is left', () => server.connections() === 0);
  });
});
