import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { type Fault, type Simulator, startSimulator } from '../../simulators/index.ts';
import { createAdapters } from '../../src/adapters/index.ts';
import type { ProviderAdapter, UpstreamCall, UpstreamReply } from '../../src/core/adapter.ts';
import { Cancellation } from '../../src/core/cancellation.ts';
import type { FailureKind } from '../../src/core/failure.ts';
import { UpstreamError } from '../../src/core/failure.ts';
import { Secret } from '../../src/core/secret.ts';
import { ADAPTER_KINDS, type AdapterKind, type Target, type TargetClocks } from '../../src/core/target.ts';
import { systemClock } from '../../src/system-clock.ts';
import { asStream, asWhole, CLOCKS, callOf, failureOf, readStream, targetOf } from './adapters-support.ts';

const KEY = 'sk-contract-0123456789';
const adapters = createAdapters({ clock: systemClock });
const GONE = new UpstreamError('cancelled', 'the client went away');
const noAbort = (): AbortSignal => new AbortController().signal;
const WEATHER = [
  { type: 'function', function: { name: 'get_weather', parameters: { type: 'object', properties: {} } } },
];

function adapterFor(kind: AdapterKind): ProviderAdapter {
  const adapter = adapters.get(kind);
  if (adapter === undefined) throw new Error(`no adapter for ${kind}`);
  return adapter;
}

test('there is an adapter for every kind of target', () => {
  expect([...adapters.keys()].sort()).toEqual([...ADAPTER_KINDS].sort());
});

describe.each([...ADAPTER_KINDS])('the %s adapter', (kind) => {
  const adapter = adapterFor(kind);
  let simulator: Simulator;

  const target = (changes: Partial<Target> = {}): Target =>
    targetOf(kind, simulator.baseUrl, { apiKey: new Secret(KEY), defaultModel: 'sim-model', ...changes });
  const fast = (clocks: Partial<TargetClocks>): Target => target({ clocks: { ...CLOCKS, ...clocks } });
  const call = (body: Record<string, unknown> = {}, on = target(), changes: Partial<UpstreamCall> = {}) =>
    adapter.call(callOf(on, body, changes), new Cancellation());
  const posts = () => simulator.log.filter(({ method }) => method === 'POST');

  beforeAll(async () => {
    simulator = await startSimulator({
      kind,
      apiKey: KEY,
      models: [{ id: 'sim-model' }],
      replyTokens: 6,
      firstTokenMs: 1,
    });
  });
  afterEach(async () => {
    await simulator.setFault(null);
    simulator.clearLog();
  });
  afterAll(() => simulator.stop());

  describe('whole replies', () => {
    test('come complete, with model and usage', async () => {
      const reply = asWhole(await call());
      const body = JSON.parse(Buffer.from(reply.bytes).toString());
      expect(body.object).toBe('chat.completion');
      expect(body.choices[0].message.content.length).toBeGreaterThan(0);
      expect(body.choices[0].finish_reason).toBe('stop');
      expect(reply.model).toBe(body.model);
      expect(reply.usage?.completionTokens).toBe(body.usage.completion_tokens);
      expect(reply.usage?.completionTokens).toBeGreaterThan(0);
    });

    test.each([
      ['text', {}],
      ['a tool call', { tools: WEATHER, tool_choice: 'required' }],
      ['a length limit', { max_tokens: 2 }],
    ])('assembled from a stream they equal what the server sends whole: %s', async (_name, extra) => {
      const assembled = asWhole(await call(extra, target({ place: 'local', assembleWholeReplies: true })));
      const whole = asWhole(await call(extra, target({ place: 'local', assembleWholeReplies: false })));
      const streams = posts().map(({ body }) => (body as { stream?: boolean }).stream ?? false);
      expect(streams).toEqual([true, false]);
      expect(comparable(assembled.bytes)).toEqual(comparable(whole.bytes));
    });

    test('are asked for whole when a stream cannot carry them', async () => {
      await call({ n: 2 }, target({ place: 'local', assembleWholeReplies: true }));
      const body = posts()[0]?.body as Record<string, unknown>;
      expect(body['n']).toBe(2);
      expect(body['stream'] ?? false).toBe(false);
    });
  });

  describe('streams', () => {
    test('are handed on event by event, without end marker and comments', async () => {
      const read = await readStream(await call({ stream: true }));
      expect(read.error).toBeNull();
      expect(read.content.length).toBeGreaterThan(0);
      expect(read.firstContentAt).toBeGreaterThan(0);
      expect(read.text).not.toContain('[DONE]');
      expect(read.text).not.toContain('\n:');
    });

    test('hide the usage from a client that did not ask, and still tell it', async () => {
      const reply = asStream(await call({ stream: true }));
      const read = await readStream(reply);
      expect(read.chunks.some(({ usage }) => usage !== undefined && usage !== null)).toBe(false);
      expect(reply.usage?.completionTokens).toBeGreaterThan(0);
      expect(reply.model).not.toBe('');
    });

    test('show the usage to a client that asked', async () => {
      const read = await readStream(await call({ stream: true, stream_options: { include_usage: true } }));
      expect(read.chunks.at(-1)?.['usage']).toMatchObject({ completion_tokens: expect.any(Number) });
    });

    test('keep the other stream options', async () => {
      await readStream(await call({ stream: true, stream_options: { include_obfuscation: false } }));
      expect(posts()[0]?.body).toMatchObject({ stream_options: { include_obfuscation: false, include_usage: true } });
    });

    test('count a tool call as content', async () => {
      const read = await readStream(await call({ stream: true, tools: WEATHER, tool_choice: 'required' }));
      expect(read.firstContentAt).toBeGreaterThan(0);
      expect(read.text).toContain('get_weather');
    });

    test.each<[string, Fault]>([
      ['one byte at a time', { kind: 'split-writes', bytesPerWrite: 1 }],
      ['with CRLF', { kind: 'split-writes', bytesPerWrite: 7, lineEnding: 'crlf' }],
      ['with CR', { kind: 'split-writes', bytesPerWrite: 3, lineEnding: 'cr' }],
      ['with a byte order mark', { kind: 'split-writes', bytesPerWrite: 5, byteOrderMark: true }],
      ['compressed without being asked', { kind: 'gzip' }],
      ['as one JSON body', { kind: 'json-for-stream' }],
    ])('say the same when they arrive %s', async (_name, fault) => {
      const plain = await readStream(await call({ stream: true }));
      await simulator.setFault(fault);
      const read = await readStream(await call({ stream: true }));
      expect(read.error).toBeNull();
      expect(read.content).toBe(plain.content);
    });

    test('are put together when a whole reply was asked for', async () => {
      await simulator.setFault({ kind: 'stream-for-whole' });
      const reply = asWhole(await call({}, target({ assembleWholeReplies: false })));
      expect(JSON.parse(Buffer.from(reply.bytes).toString()).object).toBe('chat.completion');
    });
  });

  describe('the request', () => {
    test('carries the credential, our own headers and nothing else', async () => {
      await call();
      const sent = { ...posts()[0]?.headers };
      const credential = kind === 'azure-openai' ? sent['api-key'] : sent['authorization'];
      expect(credential).toContain(KEY);
      const local = ['x-request-id', 'traceparent'];
      for (const name of local) expect(name in sent).toBe(target().place === 'local');
      const own = [
        'accept',
        'accept-encoding',
        'api-key',
        'authorization',
        'content-type',
        'http-referer',
        'x-openrouter-title',
        'x-swarmrouter-hops',
        'x-swarmrouter-hops',
        ...local,
      ];
      const runtime = ['connection', 'content-length', 'host', 'user-agent', 'transfer-encoding'];
      expect(Object.keys(sent).filter((name) => !own.includes(name) && !runtime.includes(name))).toEqual([]);
      expect(sent['accept-encoding']).toBe('identity');
    });

    test('keeps unknown fields and sends the token limit under the name the server knows', async () => {
      await call({ max_completion_tokens: 5, x_unknown: { deep: [1.5] } });
      const onlyOld = ['lm-studio', 'ollama', 'llama-cpp'].includes(kind);
      const body = posts()[0]?.body as Record<string, unknown>;
      expect(body['x_unknown']).toEqual({ deep: [1.5] });
      expect(body[onlyOld ? 'max_tokens' : 'max_completion_tokens']).toBe(5);
      expect(onlyOld ? 'max_completion_tokens' in body : 'max_tokens' in body).toBe(false);
    });
  });

  describe('a fault before any content is told by its kind', () => {
    const whole: readonly (readonly [string, Fault, FailureKind])[] = [
      ['rate limit', { kind: 'status', status: 429, headers: { 'retry-after': '7' } }, 'overloaded'],
      ['server error', { kind: 'status', status: 500 }, 'failed'],
      ['bad gateway', { kind: 'status', status: 502 }, 'failed'],
      ['refused key', { kind: 'status', status: 401 }, 'badCredentials'],
      ['out of credit', { kind: 'status', status: 402 }, 'outOfQuota'],
      ['bad request', { kind: 'status', status: 400 }, 'rejected'],
      ['web page', { kind: 'html' }, 'malformed'],
      ['redirect', { kind: 'redirect', location: 'http://127.0.0.1:1/' }, 'malformed'],
      ['error under a 200', { kind: 'error-with-200' }, 'failed'],
      ['no choices', { kind: 'empty-choices' }, 'malformed'],
      ['reset', { kind: 'reset-before-headers' }, 'failed'],
      ['closed port', { kind: 'refuse' }, 'unreachable'],
    ];
    const streamed: readonly (readonly [string, Fault, FailureKind])[] = [
      ...whole,
      ['nothing in it', { kind: 'empty' }, 'malformed'],
      ['reset before content', { kind: 'reset', afterChunks: 0 }, 'truncated'],
      ['end before content', { kind: 'clean-end', afterChunks: 0 }, 'truncated'],
      ['cut before content', { kind: 'cut', afterChunks: 0 }, 'truncated'],
      ['error data before content', { kind: 'error-in-stream', afterChunks: 0, shape: 'data' }, 'failed'],
      ['error event before content', { kind: 'error-in-stream', afterChunks: 0, shape: 'event' }, 'failed'],
      ['bad JSON before content', { kind: 'bad-json-line', afterChunks: 0 }, 'malformed'],
      ['endless line', { kind: 'giant-line', bytes: 6_000_000, afterChunks: 0 }, 'malformed'],
    ];

    test.each(whole.map((row) => [...row]))('whole: %s', async (_name, fault, expected) => {
      await simulator.setFault(fault);
      const error = await failureOf(call({}, target({ assembleWholeReplies: false })));
      expect(error.kind).toBe(expected);
    });

    test.each(streamed.map((row) => [...row]))('streamed: %s', async (_name, fault, expected) => {
      await simulator.setFault(fault);
      const { error, content } = await readCall(call({ stream: true }));
      expect(error?.kind).toBe(expected);
      expect(content).toBe('');
    });

    test.each(streamed.map((row) => [...row]))('assembled: %s', async (_name, fault, expected) => {
      await simulator.setFault(fault);
      const error = await failureOf(call({}, target({ place: 'local', assembleWholeReplies: true })));
      expect(error.kind).toBe(expected);
    });

    test('whole: cut JSON', async () => {
      await simulator.setFault({ kind: 'truncated-json' });
      expect((await failureOf(call({}, target({ assembleWholeReplies: false })))).kind).toBe('malformed');
    });

    test('the wait that a rate limit asks for is kept', async () => {
      await simulator.setFault({ kind: 'status', status: 429, headers: { 'retry-after': '7' } });
      const error = await failureOf(call());
      expect(error).toMatchObject({ status: 429, retryAfterMs: 7_000 });
    });

    test.each<[string, Fault, Partial<TargetClocks>]>([
      ['no reply', { kind: 'hang' }, { firstByteMs: 120 }],
      ['no token after the headers', { kind: 'headers-only' }, { firstTokenMs: 120 }],
      ['comments alone', { kind: 'comments-only', everyMs: 20 }, { firstTokenMs: 120 }],
    ])('streamed: %s in time', async (_name, fault, clocks) => {
      await simulator.setFault(fault);
      const { error } = await readCall(call({ stream: true }, fast(clocks)));
      expect(error?.kind).toBe('timeout');
    });

    test('a model that is not loaded gets the warm-up clock instead', async () => {
      await simulator.setFault({ kind: 'slow', extraMs: 250 });
      const clocks = { firstByteMs: 60, firstTokenMs: 60, warmupMs: 5_000 };
      const read = await readStream(await call({ stream: true }, fast(clocks), { modelLoaded: false }));
      expect(read.error).toBeNull();
    });
  });

  describe('a fault after content rejects the next read, and what came before is handed on', () => {
    test.each<[string, Fault, FailureKind]>([
      ['reset', { kind: 'reset', afterChunks: 3 }, 'truncated'],
      ['end without marker', { kind: 'clean-end', afterChunks: 3 }, 'truncated'],
      ['cut', { kind: 'cut', afterChunks: 3 }, 'truncated'],
      ['cut inside a line', { kind: 'truncated-line', afterChunks: 3 }, 'truncated'],
      ['error data', { kind: 'error-in-stream', afterChunks: 3, shape: 'data' }, 'failed'],
      ['error event', { kind: 'error-in-stream', afterChunks: 3, shape: 'event' }, 'failed'],
      ['bad JSON', { kind: 'bad-json-line', afterChunks: 3 }, 'malformed'],
    ])('%s', async (_name, fault, expected) => {
      // Paced, for the runtime forgets bytes that arrive in one gulp with the reset behind them.
      simulator.setBehaviour({ tokensPerSecond: 200 });
      await simulator.setFault(fault);
      const read = await readStream(await call({ stream: true }));
      simulator.setBehaviour({ tokensPerSecond: Number.POSITIVE_INFINITY });
      expect(read.error?.kind).toBe(expected);
      expect(read.content).not.toBe('');
    });

    test.each<[string, Fault]>([
      ['silence', { kind: 'stall', afterChunks: 3 }],
      ['comments for ever', { kind: 'stall', afterChunks: 3, commentsEveryMs: 5 }],
    ])('%s', async (_name, fault) => {
      await simulator.setFault(fault);
      const read = await readStream(await call({ stream: true }, fast({ idleMs: 25 })));
      expect(read.error?.kind).toBe('timeout');
      expect(read.content).not.toBe('');
    });
  });

  describe('leaving', () => {
    test('an abort before the reply closes the upstream socket', async () => {
      await simulator.setFault({ kind: 'hang' });
      const leaver = new Cancellation();
      const failure = failureOf(adapter.call(callOf(target(), { stream: true }), leaver));
      await until(() => posts().length === 1);
      leaver.cancel(GONE);
      expect((await failure).kind).toBe('cancelled');
      await until(() => posts()[0]?.aborted === true);
    });

    test.each(['abort', 'cancel'])('an %s in the middle of a stream closes the upstream socket', async (how) => {
      await simulator.setFault({ kind: 'stall', afterChunks: 2 });
      const leaver = new Cancellation();
      const stream = asStream(await adapter.call(callOf(target(), { stream: true }), leaver));
      await stream.next();
      if (how === 'abort') leaver.cancel(GONE);
      else stream.cancel();
      await until(() => posts()[0]?.aborted === true);
      const { error } = await readStream(stream);
      expect(error?.kind).toBe('cancelled');
    });

    test('a finished stream leaves its connection open for the next call', async () => {
      await readStream(await call({ stream: true }));
      const before = simulator.connections();
      for (let round = 0; round < 5; round++) await readStream(await call({ stream: true }));
      expect(simulator.connections()).toBeLessThanOrEqual(Math.max(before, 1));
    });
  });

  describe('the probe', () => {
    test('finds the model and never posts', async () => {
      const snapshot = await adapter.probe(target(), noAbort());
      expect(snapshot.models.map(({ id }) => id)).toContain('sim-model');
      expect(snapshot.models.find(({ id }) => id === 'sim-model')).toMatchObject({ kind: 'chat', state: 'loaded' });
      expect(snapshot.warming).toBe(false);
      expect(simulator.log.length).toBeGreaterThan(0);
      expect(simulator.log.every(({ method }) => method === 'GET')).toBe(true);
      expect(JSON.stringify(snapshot)).not.toContain(KEY);
    });

    test('is refused with a wrong key', async () => {
      const wrong = target({ apiKey: new Secret('sk-wrong-0123456789') });
      expect((await failureOf(adapter.probe(wrong, noAbort()))).kind).toBe('badCredentials');
    });

    test.each<[string, Fault, readonly FailureKind[]]>([
      ['closed port', { kind: 'refuse', scope: 'all' }, ['unreachable']],
      ['server error', { kind: 'status', status: 500, scope: 'all' }, ['failed']],
      ['web page', { kind: 'html', scope: 'all' }, ['malformed']],
      ['redirect', { kind: 'redirect', location: 'http://127.0.0.1:1/', scope: 'all' }, ['malformed']],
      ['junk', { kind: 'junk', scope: 'all' }, ['failed', 'malformed', 'unreachable']],
    ])('%s makes it fail', async (_name, fault, expected) => {
      await simulator.setFault(fault);
      expect(expected).toContain((await failureOf(adapter.probe(target(), noAbort()))).kind);
    });
  });
});

/** A call that may already be refused, read as far as it goes. */
async function readCall(work: Promise<UpstreamReply>) {
  return await work.then(readStream, (error) => ({ error, content: '' }));
}

/** The parts that differ between two replies of one server to one question. */
function comparable(bytes: Uint8Array): unknown {
  const body = JSON.parse(Buffer.from(bytes).toString());
  delete body.id;
  delete body.created;
  for (const { message } of body.choices) {
    for (const tool of message.tool_calls ?? []) {
      delete tool.id;
      // Which servers keep it, and which say "" instead of null beside a call, the recorded pairs tell.
      delete tool.index;
    }
    message.content ||= null;
  }
  if (body.timings !== undefined) body.timings = Object.keys(body.timings).sort();
  return body;
}

/** Waits for what the simulator sees from its side of the socket. */
async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 400 && !condition(); tries++) await Bun.sleep(5);
  expect(condition()).toBe(true);
}
