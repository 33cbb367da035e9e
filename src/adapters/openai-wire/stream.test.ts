import { describe, expect, test } from 'bun:test';
import { asStream, CLOCKS, callOf, readStream, requestOf, targetOf } from '../../../test/contract/adapters-support.ts';
import type { StreamReply } from '../../core/adapter.ts';
import { Cancellation } from '../../core/cancellation.ts';
import type { Target } from '../../core/target.ts';
import { systemClock } from '../../system-clock.ts';
import { createAdapters } from '../index.ts';

const adapter = createAdapters({ clock: systemClock }).get('openai-compatible');

const CHUNK = { id: 'c1', object: 'chat.completion.chunk', created: 1, model: 'm-1' };
const choice = (delta: object, finish: string | null = null) => ({ index: 0, delta, finish_reason: finish });
const chunk = (delta: object, finish: string | null = null, more: object = {}) =>
  JSON.stringify({ ...CHUNK, choices: [choice(delta, finish)], ...more });
const USAGE = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5, cost: 0.0000123 };
const DONE = 'data: [DONE]\n\n';
const event = (data: string): string => `data: ${data}\n\n`;

/** Serves these pieces, one network write each, as one stream; the returned counter tells how many were asked for. */
function serve(pieces: readonly string[], contentType = 'text/event-stream') {
  let sent = 0;
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: () =>
      new Response(
        new ReadableStream({
          async pull(controller) {
            const piece = pieces[sent];
            if (piece === undefined) return controller.close();
            sent++;
            controller.enqueue(new TextEncoder().encode(piece));
            // A pause, so that each piece is a network chunk of its own.
            await Bun.sleep(2);
          },
        }),
        { headers: contentType === '' ? {} : { 'content-type': contentType } },
      ),
  });
  return { url: `http://127.0.0.1:${server.port}/v1`, sent: () => sent, stop: () => server.stop(true) };
}

async function open(pieces: readonly string[], body: object = {}, changes: Partial<Target> = {}, type?: string) {
  const server = serve(pieces, type);
  const target = targetOf('openai-compatible', server.url, changes);
  const reply = await adapter?.call(callOf(target, { stream: true, ...body }), new Cancellation());
  if (reply === undefined) throw new Error('no adapter');
  return { reply, server };
}

async function read(pieces: readonly string[], body: object = {}) {
  const { reply, server } = await open(pieces, body);
  try {
    return { ...(await readStream(reply)), reply: asStream(reply) };
  } finally {
    server.stop();
  }
}

const WITH_USAGE = { stream_options: { include_usage: true } };

describe('what a client sees of a stream', () => {
  test('the very bytes of the events, odd spacing and escapes included', async () => {
    const odd = '{"choices" : [{"delta":{"content":"\\u00e9\\/ 😀"},"index":0,"x":1.0e2}],"model":"m-1"}';
    const seen = await read([event(odd) + event(chunk({}, 'stop', { usage: USAGE })), DONE], WITH_USAGE);
    expect(seen.text).toBe(event(odd) + event(chunk({}, 'stop', { usage: USAGE })));
  });

  test('with a count of what came, also where a server sends many tokens in one event', async () => {
    const produced = async (...deltas: object[]) => {
      const { reply } = await read([...deltas.map((delta) => event(chunk(delta))), event(chunk({}, 'stop')), DONE]);
      return reply.producedTokens;
    };
    expect(await produced({ content: 'a' }, { content: ' b' }, { content: '' })).toBe(2);
    expect(await produced({ content: 'word '.repeat(800) })).toBe(1_000);
    expect(await produced({ reasoning: 'x'.repeat(400), reasoning_content: 'x'.repeat(400) })).toBe(100);
    const called = { function: { name: 'f', arguments: 'x'.repeat(399) } };
    expect(await produced({ tool_calls: [called] }, { function_call: called.function })).toBe(200);
  });

  test('odd dialects in canonical form', async () => {
    const data = chunk({ content: 'a' });
    const pieces = [
      `: hi\r\nid: 4\r\nevent: message\r\ndata:${data}\r\n\r\n`,
      `data: ${data}\n: note\n\n`,
      event(chunk({}, 'stop')),
      DONE,
    ];
    const seen = await read(pieces);
    expect(seen.text).toBe(event(data) + event(data) + event(chunk({}, 'stop')));
  });

  test('no usage it did not ask for, neither in its own chunk nor beside a choice', async () => {
    const seen = await read([
      event(chunk({ content: 'a' }, null, { usage: USAGE })),
      event(chunk({}, 'stop', { usage: null })),
      event(JSON.stringify({ ...CHUNK, choices: [], usage: USAGE })),
      DONE,
    ]);
    expect(seen.chunks).toEqual([
      { ...CHUNK, choices: [choice({ content: 'a' })] },
      { ...CHUNK, choices: [choice({}, 'stop')], usage: null },
    ]);
    expect(seen.reply.usage).toEqual({
      promptTokens: 3,
      completionTokens: 2,
      cachedTokens: null,
      reasoningTokens: 0,
      costNanoUsd: 12_300,
    });
  });

  test("Azure's first chunk without choices and its chunks without delta pass, and are no content", async () => {
    const first = { id: '', object: '', created: 0, model: '', prompt_filter_results: [], choices: [] };
    const late = {
      ...CHUNK,
      choices: [{ index: 0, content_filter_results: {}, content_filter_offsets: {}, finish_reason: null }],
    };
    const pieces = [
      first,
      JSON.parse(chunk({ role: 'assistant', content: '' })),
      JSON.parse(chunk({ content: 'a' })),
      JSON.parse(chunk({}, 'stop')),
      late,
    ];
    const seen = await read([...pieces.map((piece) => event(JSON.stringify(piece))), DONE]);
    expect(seen.error).toBeNull();
    expect(seen.chunks).toEqual(pieces);
    expect(seen.reply.model).toBe('m-1');
    const silent = [
      first,
      late,
      JSON.parse(chunk({ role: 'assistant', content: '' })),
      JSON.parse(chunk({}, 'stop', { usage: USAGE })),
    ];
    const nothing = await read([...silent.map((piece) => event(JSON.stringify(piece))), DONE]);
    expect(nothing).toMatchObject({ error: null, firstContentAt: 0 });
  });

  test.each([
    ['content', { content: 'a' }],
    ['reasoning_content', { reasoning_content: 'hm' }],
    ['reasoning', { reasoning: 'hm' }],
    ['a refusal', { refusal: 'no' }],
    ['a tool call', { tool_calls: [{ index: 0, id: 'x', type: 'function', function: { name: 'f', arguments: '' } }] }],
    ['a function call', { function_call: { name: 'f', arguments: '' } }],
    ['audio', { audio: { id: 'a' } }],
  ])('%s counts as content', async (_name, delta) => {
    const seen = await read([event(chunk({ role: 'assistant' })), event(chunk(delta)), event(chunk({}, 'stop')), DONE]);
    expect(seen.firstContentAt).toBeGreaterThan(0);
  });
});

describe('how a stream may end', () => {
  test.each<[string, string[], string | null]>([
    ['with its marker', [event(chunk({ content: 'a' })), event(chunk({}, 'stop')), DONE], null],
    ['with its marker in the last chunk', [event(chunk({ content: 'a' })) + event(chunk({}, 'stop')) + DONE], null],
    ['with a marker without a blank line', [event(chunk({ content: 'a' })), 'data: [DONE]'], null],
    ['without a marker but finished', [event(chunk({ content: 'a' })), event(chunk({}, 'stop'))], null],
    [
      'without a marker, one of two choices unfinished',
      [
        event(
          JSON.stringify({ ...CHUNK, choices: [choice({ content: 'a' }), { ...choice({ content: 'b' }), index: 1 }] }),
        ),
        event(chunk({}, 'stop')),
      ],
      'truncated',
    ],
    ['without either', [event(chunk({ content: 'a' }))], 'truncated'],
    ['in the middle of an event', [event(chunk({ content: 'a' })), 'data: {"cho'], 'truncated'],
    ['with nothing at all', [DONE], 'malformed'],
    ['with an empty body', [''], 'truncated'],
    [
      'with a role and a finish only',
      [event(chunk({ role: 'assistant' })), event(chunk({}, 'stop')), DONE],
      'malformed',
    ],
    ['with a finish and tokens but no text', [event(chunk({}, 'stop', { usage: USAGE })), DONE], null],
    ['with a filter that left nothing', [event(chunk({}, 'content_filter')), DONE], null],
    ['with an error finish', [event(chunk({ content: '' }, 'error')), DONE], 'failed'],
    ['with data that is no object', [event('[1]'), DONE], 'malformed'],
  ])('%s', async (_name, pieces, kind) => {
    const seen = await read(pieces);
    expect(seen.error?.kind ?? null).toBe(kind as never);
  });

  test("OpenRouter's error chunk is an error although it has a choice", async () => {
    const broken = {
      ...CHUNK,
      provider: 'x',
      error: { code: 'server_error', message: 'Provider disconnected unexpectedly' },
      choices: [choice({ content: '' }, 'error')],
    };
    const seen = await read([
      ': OPENROUTER PROCESSING\n\n',
      event(chunk({ content: 'a' })) + event(JSON.stringify(broken)),
    ]);
    expect(seen.content).toBe('a');
    expect(seen.error).toMatchObject({
      kind: 'failed',
      upstreamCode: 'server_error',
      message: 'Provider disconnected unexpectedly',
    });
  });

  test('after an error every further read rejects alike, and after the end every read says end', async () => {
    const { reply, server } = await open([event(chunk({ content: 'a' })), event('{"error":"boom"}')]);
    const stream = asStream(reply);
    await stream.next();
    await expect(stream.next()).rejects.toThrow('boom');
    await expect(stream.next()).rejects.toThrow('boom');
    server.stop();
    const ended = await open([event(chunk({ content: 'a' })) + event(chunk({}, 'stop')) + DONE]);
    const other: StreamReply = asStream(ended.reply);
    await other.next();
    expect(await other.next()).toBeNull();
    expect(await other.next()).toBeNull();
    other.cancel();
    ended.server.stop();
  });
});

describe('reading a stream', () => {
  test('follows a slow client: the upstream is not read ahead', async () => {
    const big = event(chunk({ content: 'x'.repeat(256 * 1024) }));
    const { reply, server } = await open([...Array.from({ length: 400 }, () => big), event(chunk({}, 'stop')), DONE]);
    await asStream(reply).next();
    await Bun.sleep(1_000);
    expect(server.sent()).toBeLessThan(200);
    asStream(reply).cancel();
    server.stop();
  }, 10_000);

  test('does not count the time that the client takes', async () => {
    const changes = { clocks: { ...CLOCKS, idleMs: 2_000, firstTokenMs: 2_000 } };
    const pieces = [event(chunk({ content: 'a' })), event(chunk({ content: 'b' })), event(chunk({}, 'stop')), DONE];
    const { reply, server } = await open(pieces, {}, changes);
    const stream = asStream(reply);
    let batches = 0;
    while ((await stream.next()) !== null) {
      batches++;
      if (batches === 1) await Bun.sleep(2_500);
    }
    expect(batches).toBeGreaterThan(1);
    server.stop();
  }, 30_000);

  test('ends a stream that runs longer than it may', async () => {
    const pieces = Array.from({ length: 500 }, () => event(chunk({ content: 'a' })));
    const { reply, server } = await open(pieces, {}, { clocks: { ...CLOCKS, streamMs: 100 } });
    const { error } = await readStream(reply);
    expect(error).toMatchObject({ kind: 'timeout', message: 'no end of the stream within 100 ms' });
    server.stop();
  });

  test.each(['', 'text/plain', 'application/octet-stream'])(
    'knows a stream by its first bytes (content-type "%s")',
    async (type) => {
      const { reply, server } = await open(
        [event(chunk({ content: 'a' })), event(chunk({}, 'stop')), DONE],
        {},
        {},
        type,
      );
      expect((await readStream(reply)).content).toBe('a');
      server.stop();
    },
  );
});

test('the helper for requests says what the adapters rely on', () => {
  expect(requestOf({ stream: true, ...WITH_USAGE })).toMatchObject({ stream: true, includeUsage: true });
});
