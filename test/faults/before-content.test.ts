import { describe, expect, test } from 'bun:test';
import type { Fault } from '../../simulators/index.ts';
import type { FailureKind } from '../../src/core/failure.ts';
import type { TargetHealth } from '../../src/core/target-view.ts';
import { faultParts, targetFor, targetOfRaw } from '../support/fault-parts.ts';
import { contentOf, readEvents } from '../support/gateway.ts';
import { inference, servedBy } from '../support/running.ts';

const parts = faultParts();
/** Long enough for a probe on a busy machine. */
const QUICK = { firstByteMs: 500, firstTokenMs: 500, idleMs: 500 };

interface Row {
  readonly name: string;
  readonly fault: Fault;
  readonly failure: FailureKind;
  /** Of the faulty target after one such request. */
  readonly health: TargetHealth;
}

const row = (name: string, fault: Fault, failure: FailureKind, more: Partial<Pick<Row, 'health'>> = {}): Row => ({
  name,
  fault,
  failure,
  health: 'up',
  ...more,
});

const status = (code: number, body?: unknown): Fault => ({
  kind: 'status',
  status: code,
  ...(body === undefined ? {} : { body }),
});
const coded = (code: string): object => ({ error: { message: 'no', type: 'x', param: null, code } });
const LOADING = { error: { code: 503, message: 'Loading model', type: 'unavailable_error' } };

const HIDDEN: readonly Row[] = [
  row('F-04 bytes that are not HTTP', { kind: 'junk' }, 'malformed'),
  row('F-06 silence instead of headers', { kind: 'hang' }, 'timeout'),
  row('F-07 headers, then silence', { kind: 'headers-only' }, 'timeout'),
  row('F-07 comments only', { kind: 'comments-only', everyMs: 20 }, 'timeout'),
  row('F-10 a reset before the first content', { kind: 'reset', afterChunks: 0 }, 'truncated'),
  row('F-10 a reset in the first bytes of the body', { kind: 'reset-after-bytes', bytes: 20 }, 'truncated'),
  row('F-11 a clean end without content', { kind: 'clean-end', afterChunks: 0 }, 'truncated'),
  row('F-11 a cut connection', { kind: 'cut', afterChunks: 0 }, 'truncated'),
  row('F-12 an error event', { kind: 'error-in-stream', afterChunks: 0 }, 'failed'),
  row('F-12 an `event: error`', { kind: 'error-in-stream', afterChunks: 0, shape: 'event' }, 'failed'),
  row(
    'F-12 an error event that says the rate is limited',
    { kind: 'error-in-stream', afterChunks: 0, error: coded('rate_limit_exceeded') },
    'overloaded',
  ),
  row('F-13 a line that is not JSON', { kind: 'bad-json-line', afterChunks: 0 }, 'malformed'),
  row('F-13 half a line', { kind: 'truncated-line', afterChunks: 0 }, 'truncated'),
  row('F-15 a line of 5 MB', { kind: 'giant-line', bytes: 5_000_000 }, 'malformed'),
  row('F-18 a web page', { kind: 'html' }, 'malformed'),
  row('F-19 status 200 with an error body', { kind: 'error-with-200' }, 'failed'),
  row('F-19 L-27 an empty answer', { kind: 'empty' }, 'malformed'),
  row('F-19 empty choices', { kind: 'empty-choices' }, 'malformed'),
  row('F-21 a refused key (401)', status(401), 'badCredentials'),
  row('F-21 an empty account (402)', status(402), 'outOfQuota'),
  row('F-21 a forbidden region (403)', status(403), 'badCredentials'),
  row('F-22 a rate limit', status(429), 'overloaded'),
  row('F-22 a spent quota under status 429', status(429, coded('insufficient_quota')), 'outOfQuota'),
  row('F-23 a model that is not there', status(404, coded('model_not_found')), 'modelMissing'),
  row('F-24 status 408', status(408, coded('x')), 'timeout'),
  row('F-24 status 409', status(409, coded('x')), 'overloaded'),
  row('F-24 status 425', status(425, coded('x')), 'overloaded'),
  row('F-25 status 500', status(500), 'failed'),
  row('F-25 status 501', status(501), 'failed'),
  row('F-25 status 502 with a page', status(502, '<html>Bad gateway</html>'), 'failed'),
  row('F-25 status 503', status(503, coded('x')), 'overloaded'),
  row('F-25 status 504', status(504), 'failed'),
  row('F-25 status 505', status(505), 'failed'),
  row('F-25 status 529', status(529, coded('overloaded_error')), 'overloaded'),
  row('F-26 a model that is loading', status(503, LOADING), 'modelLoading', { health: 'warming' }),
  row('F-27 a context that is too short here', status(400, coded('context_length_exceeded')), 'contextTooLong'),
  row('F-29 a redirect', { kind: 'redirect', location: 'http://127.0.0.1:9/' }, 'malformed'),
];

/** Faults that the wire of whole replies alone can have: the target does not assemble them from a stream. */
const HIDDEN_WHOLE: readonly Row[] = [
  row('F-10 a reset in the middle of the body', { kind: 'reset-after-bytes', bytes: 60 }, 'truncated'),
  row('F-13 half of the JSON', { kind: 'truncated-json' }, 'malformed'),
  row('F-13 a body of one byte', { kind: 'truncated-json', keepBytes: 1 }, 'malformed'),
  row('F-18 a web page', { kind: 'html' }, 'malformed'),
  row('F-19 an error under status 200', { kind: 'error-with-200' }, 'failed'),
  row('F-19 empty choices', { kind: 'empty-choices' }, 'malformed'),
];

async function faultyAndSteady(assembleWholeReplies: boolean) {
  const faulty = await parts.simulator({ kind: 'vllm', replyTokens: 30 });
  const steady = await parts.simulator({ kind: 'openrouter', models: [{ id: 'sim-model' }] });
  const target = targetFor(faulty, { assembleWholeReplies });
  const started = await parts.gateway([{ ...target, clocks: { ...target.clocks, ...QUICK } }, targetFor(steady)]);
  return { faulty, steady, ...started };
}

async function isHidden({ fault, failure, health }: Row, stream: boolean, assembled: boolean): Promise<void> {
  const { faulty, steady, chat, outcomes, gateway } = await faultyAndSteady(assembled);
  await faulty.setFault(fault);
  const response = await chat({ model: 'sim-model', stream, messages: [{ role: 'user', content: 'canary:ONE' }] });
  expect([response.status, servedBy(response), response.headers.get('x-swarmrouter-attempts')]).toEqual([
    200,
    'openrouter',
    '2',
  ]);
  if (stream) {
    const events = await readEvents(response);
    expect(contentOf(events)).toContain('canary:ONE');
    expect(JSON.stringify(events)).not.toContain('"error"');
    expect(events.at(-1)).toBe('[DONE]');
  } else expect((await response.json()).choices[0].message.content).toContain('canary:ONE');
  expect(outcomes.map(({ kind, attempts }) => [kind, ...attempts.map((attempt) => attempt.failure)])).toEqual([
    ['served', failure, null],
  ]);
  expect([inference(faulty).map((request) => request.fault), inference(steady).length]).toEqual([[fault.kind], 1]);
  expect(gateway.targets().map((view) => [view.health, view.stats.errors])).toEqual([
    [health, 1],
    ['up', 0],
  ]);
}

describe('before the first content every fault is hidden by another target', () => {
  for (const each of HIDDEN) {
    for (const stream of [true, false]) {
      test(`${each.name}, ${stream ? 'streamed' : 'whole'}`, () => isHidden(each, stream, true));
    }
  }
  for (const each of HIDDEN_WHOLE) test(`${each.name}, whole and not assembled`, () => isHidden(each, false, false));

  test('F-10 a reset before the first byte, on a connection that had been used', async () => {
    const { faulty, steady, chat, outcomes } = await faultyAndSteady(true);
    await faulty.setFault({ kind: 'reset-before-headers' });
    const response = await chat({ model: 'sim-model', messages: [{ role: 'user', content: 'canary:ONE' }] });
    expect([response.status, servedBy(response), response.headers.get('x-swarmrouter-attempts')]).toEqual([
      200,
      'openrouter',
      '2',
    ]);
    await response.text();
    // It may have been the keep-alive race: one replay on a fresh connection, which is no attempt.
    expect([inference(faulty).length, inference(steady).length]).toEqual([2, 1]);
    expect(outcomes[0]?.attempts.map(({ failure }) => failure)).toEqual(['failed', null]);
  });

  for (const [name, fault] of [
    ['F-18 JSON where a stream was asked for', { kind: 'json-for-stream' }],
    ['F-18 a stream where a whole reply was asked for', { kind: 'stream-for-whole' }],
    ['F-17 a compressed body that nobody asked for', { kind: 'gzip' }],
  ] as const) {
    for (const stream of [true, false]) {
      test(`${name}: the client gets what it asked for, ${stream ? 'streamed' : 'whole'}`, async () => {
        const { faulty, chat, steady } = await faultyAndSteady(false);
        await faulty.setFault(fault);
        const response = await chat({
          model: 'sim-model',
          stream,
          messages: [{ role: 'user', content: 'canary:ONE' }],
        });
        expect([response.status, response.headers.get('content-encoding')]).toEqual([200, null]);
        expect(response.headers.get('content-type')).toStartWith(stream ? 'text/event-stream' : 'application/json');
        const text = stream
          ? contentOf(await readEvents(response))
          : (await response.json()).choices[0].message.content;
        expect(text).toContain('canary:ONE');
        expect(inference(steady)).toEqual([]);
      });
    }
  }

  test('F-17 a body that is not what its encoding says is hidden too', async () => {
    const raw = await parts.rawServer({
      chat: ({ socket }) =>
        void socket.write(
          'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nzzzz',
        ),
    });
    const steady = await parts.simulator({ kind: 'openrouter', models: [{ id: 'sim-model' }] });
    const { chat, outcomes } = await parts.gateway([targetOfRaw(raw), targetFor(steady)]);
    const response = await chat({ model: 'sim-model', messages: [{ role: 'user', content: 'hi' }] });
    expect([response.status, servedBy(response)]).toEqual([200, 'openrouter']);
    await response.text();
    expect(outcomes[0]?.attempts[0]?.failure).toBe('malformed');
  });
});

describe('F-10, F-13 a reply that breaks off at any byte', () => {
  test('is never taken for a whole one', async () => {
    const { faulty, chat } = await faultyAndSteady(false);
    const ask = () => chat({ model: 'sim-model', messages: [{ role: 'user', content: 'canary:ONE' }] });
    const length = (await (await ask()).bytes()).length;
    // Each break counts against the target's health: a good answer in between keeps it in rotation.
    for (let bytes = 1; bytes < length; bytes += 7) {
      const fault: Fault =
        bytes % 2 === 0 ? { kind: 'reset-after-bytes', bytes } : { kind: 'truncated-json', keepBytes: bytes };
      faulty.faultNext(1, fault);
      const broken = await ask();
      expect([broken.status, servedBy(broken)]).toEqual([200, 'openrouter']);
      expect((await broken.json()).choices[0].message.content).toContain('canary:ONE');
      expect(servedBy(await ask())).toBe('vllm');
    }
    expect(inference(faulty).filter(({ fault }) => fault !== null).length).toBeGreaterThan(40);
  });

  test('a stream that breaks off at any byte ends with an error event or is hidden, and never repeats or drops text', async () => {
    const { faulty, chat } = await faultyAndSteady(false);
    const ask = () => chat({ model: 'sim-model', stream: true, messages: [{ role: 'user', content: 'canary:ONE' }] });
    const good = contentOf(await readEvents(await ask()));
    let [hidden, cut] = [0, 0];
    for (let bytes = 1; bytes < 2_000; bytes += 37) {
      faulty.faultNext(1, { kind: 'reset-after-bytes', bytes });
      const response = await ask();
      const events = await readEvents(response);
      if (servedBy(response) === 'openrouter') {
        hidden++;
        expect(events.at(-1)).toBe('[DONE]');
        expect(contentOf(events)).toContain('canary:ONE');
      } else {
        cut++;
        expect(events.at(-1)).toMatchObject({ error: { code: expect.stringContaining('upstream_') } });
        expect(events).not.toContain('[DONE]');
        expect(good.startsWith(contentOf(events))).toBe(true);
      }
      await (await ask()).text();
    }
    expect(hidden).toBeGreaterThan(0);
    expect(cut).toBeGreaterThan(0);
  });
});
