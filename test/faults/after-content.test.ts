import { describe, expect, test } from 'bun:test';
import type { Fault } from '../../simulators/index.ts';
import type { FailureKind } from '../../src/core/failure.ts';
import { faultParts, targetFor, targetOfRaw } from '../support/fault-parts.ts';
import { contentOf, readEvents } from '../support/gateway.ts';
import { chunk, framed, LAST_CHUNK, STREAM_HEAD } from '../support/raw-server.ts';
import { inference } from '../support/running.ts';

const parts = faultParts();
const QUICK = { idleMs: 600 };

const BREAKS: readonly (readonly [string, Fault, FailureKind, string])[] = [
  ['F-08 silence', { kind: 'stall', afterChunks: 3 }, 'timeout', 'upstream_timeout'],
  ['F-10 a reset', { kind: 'reset', afterChunks: 3 }, 'truncated', 'upstream_truncated'],
  ['F-11 a clean end without the end marker', { kind: 'clean-end', afterChunks: 3 }, 'truncated', 'upstream_truncated'],
  ['F-11 a cut connection', { kind: 'cut', afterChunks: 3 }, 'truncated', 'upstream_truncated'],
  ['F-12 an error event', { kind: 'error-in-stream', afterChunks: 3 }, 'failed', 'upstream_error'],
  ['F-12 an `event: error`', { kind: 'error-in-stream', afterChunks: 3, shape: 'event' }, 'failed', 'upstream_error'],
  ['F-12 an error event as the last event', { kind: 'error-in-stream', afterChunks: 29 }, 'failed', 'upstream_error'],
  ['F-13 a line that is not JSON', { kind: 'bad-json-line', afterChunks: 3 }, 'malformed', 'upstream_invalid_response'],
  ['F-13 half a line', { kind: 'truncated-line', afterChunks: 3 }, 'truncated', 'upstream_truncated'],
  [
    'F-15 a line of 5 MB',
    { kind: 'giant-line', bytes: 5_000_000, afterChunks: 3 },
    'malformed',
    'upstream_invalid_response',
  ],
];

async function faultyAndSteady() {
  const faulty = await parts.simulator({ kind: 'lm-studio', replyTokens: 30, tokensPerSecond: 500 });
  const steady = await parts.simulator({ kind: 'openrouter', models: [{ id: 'sim-model' }] });
  const target = targetFor(faulty);
  const started = await parts.gateway([{ ...target, clocks: { ...target.clocks, ...QUICK } }, targetFor(steady)]);
  return { faulty, steady, ...started };
}

const ASK = { model: 'sim-model', stream: true, messages: [{ role: 'user', content: 'canary:ONE' }] };

describe('after the first content a fault ends the stream with a typed error, never silently', () => {
  for (const [name, fault, failure, code] of BREAKS) {
    test(name, async () => {
      const { faulty, steady, chat, outcomes, gateway } = await faultyAndSteady();
      const good = contentOf(await readEvents(await chat(ASK)));
      await faulty.setFault(fault);
      const response = await chat(ASK);
      const events = await readEvents(response);
      expect([response.status, response.headers.get('x-swarmrouter-attempts')]).toEqual([200, '1']);
      const text = contentOf(events);
      expect([text.length > 0, good.startsWith(text)]).toEqual([true, true]);
      expect(events.at(-1)).toEqual({
        error: { message: expect.any(String), type: 'server_error', param: null, code },
      });
      expect(events).not.toContain('[DONE]');
      expect([inference(faulty).length, inference(steady).length]).toEqual([2, 0]);
      expect(outcomes.at(-1)).toMatchObject({ kind: 'cut', failure });
      expect(gateway.targets()[0]).toMatchObject({ health: 'up', stats: { errors: 1 } });
    });
  }

  test('F-08 comments instead of content are silence too: they do not hold a client for ever', async () => {
    const { faulty, chat, outcomes } = await faultyAndSteady();
    await faulty.setFault({ kind: 'stall', afterChunks: 3, commentsEveryMs: 20 });
    const events = await readEvents(await chat(ASK));
    expect(events.at(-1)).toMatchObject({ error: { code: 'upstream_timeout' } });
    expect(outcomes.at(-1)).toMatchObject({ kind: 'cut', failure: 'timeout' });
  });

  test('F-28 a content filter in the middle is the end of a proper answer, not a fault', async () => {
    const steady = await parts.simulator({ kind: 'openrouter', models: [{ id: 'sim-model' }] });
    const filtered = {
      object: 'chat.completion.chunk',
      model: 'sim-model',
      choices: [{ index: 0, delta: {}, finish_reason: 'content_filter' }],
    };
    const raw = await parts.rawServer({
      chat: ({ socket }) => {
        const events = `${chunk('some')}data: ${JSON.stringify(filtered)}\n\ndata: [DONE]\n\n`;
        socket.write(STREAM_HEAD + framed(events).toString() + LAST_CHUNK);
      },
    });
    const { chat, outcomes } = await parts.gateway([targetOfRaw(raw), targetFor(steady)]);
    const events = await readEvents(await chat(ASK));
    expect(contentOf(events)).toBe('some');
    expect(JSON.stringify(events)).toContain('content_filter');
    expect([events.at(-1), outcomes.at(-1)?.kind, inference(steady).length]).toEqual(['[DONE]', 'served', 0]);
  });
});

describe('a server that breaks every answer', () => {
  test('F-10 is taken out after five of them, though each began well', async () => {
    const { faulty, steady, chat, gateway } = await faultyAndSteady();
    await faulty.setFault({ kind: 'reset', afterChunks: 2 });
    for (let n = 0; n < 5; n++) await readEvents(await chat(ASK));
    expect(gateway.targets()[0]?.health).toBe('down');
    expect((await readEvents(await chat(ASK))).at(-1)).toBe('[DONE]');
    expect([inference(faulty).length, inference(steady).length]).toEqual([5, 1]);
  });
});

describe('F-14, F-16 a stream in any dialect and any split', () => {
  for (const lineEnding of ['lf', 'crlf', 'cr'] as const) {
    for (const byteOrderMark of [false, true]) {
      for (const bytesPerWrite of [1, 7]) {
        const mark = byteOrderMark ? ' with a byte order mark' : '';
        test(`${lineEnding}${mark}, ${bytesPerWrite} byte${bytesPerWrite === 1 ? '' : 's'} a write: the text arrives whole`, async () => {
          const reply = 'Zürich 東京 🏔️ naïve — “quoted”';
          const server = await parts.simulator({ kind: 'vllm', reply });
          const { chat } = await parts.gateway([targetFor(server)]);
          await server.setFault({ kind: 'split-writes', bytesPerWrite, lineEnding, byteOrderMark });
          const events = await readEvents(await chat(ASK));
          expect(contentOf(events)).toContain(reply);
          expect(events.at(-1)).toBe('[DONE]');
          const whole = await chat({ ...ASK, stream: false });
          expect((await whole.json()).choices[0].message.content).toContain(reply);
        });
      }
    }
  }

  test('bytes that are no UTF-8 become replacement characters and nothing breaks', async () => {
    const raw = await parts.rawServer({
      chat: ({ socket }) => {
        const [head, tail] = chunk('a|b').split('|');
        const event = Buffer.concat([Buffer.from(`${head}`), Buffer.from([0xff, 0xc3, 0x28]), Buffer.from(`${tail}`)]);
        socket.write(STREAM_HEAD);
        socket.write(framed(event));
        socket.write(framed(`${chunk(null)}data: [DONE]\n\n`));
        socket.write(LAST_CHUNK);
      },
    });
    const { chat } = await parts.gateway([targetOfRaw(raw)]);
    const events = await readEvents(await chat(ASK));
    expect([contentOf(events), events.at(-1)]).toEqual(['a\uFFFD\uFFFD(b', '[DONE]']);
  });
});
