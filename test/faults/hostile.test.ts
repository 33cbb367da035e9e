import { describe, expect, test } from 'bun:test';
import type { FailureKind } from '../../src/core/failure.ts';
import type { TargetClocks } from '../../src/core/target.ts';
import { faultParts, targetFor, targetOfRaw } from '../support/fault-parts.ts';
import { contentOf, readEvents, type TestGateway, until } from '../support/gateway.ts';
import { growthOf } from '../support/memory.ts';
import {
  chunk,
  completion,
  framed,
  gzipBomb,
  httpReply,
  LAST_CHUNK,
  type RawAnswer,
  type RawExchange,
  STREAM_HEAD,
  writeForEver,
} from '../support/raw-server.ts';
import { inference, servedBy } from '../support/running.ts';

const parts = faultParts();
/** Where our limit on bytes is what ends it. */
const PATIENT = { firstByteMs: 20_000, firstTokenMs: 20_000, idleMs: 20_000 };
/** Long enough for a probe on a busy machine. */
const QUICK = { firstByteMs: 500, firstTokenMs: 500, idleMs: 500 };
/** A gigabyte taken whole is told from any limit of ours by far; what other tests leave to be collected is not. */
const MAX_GROWTH_MB = 450;
/** Far more than what any limit of ours lets through: who reads all of it is found out. */
const ENDLESS_BYTES = 1_000_000_000;

/** A gigabyte of zeros, packed once. */
let packedBomb: Promise<Buffer> | null = null;
const hugeBomb = (): Promise<Buffer> => (packedBomb ??= gzipBomb(1_000));

/** A hostile local server, which is asked first, and an honest one that may hide it. */
async function hostileAndHonest(chat: RawAnswer, listing?: RawAnswer, clocks: Partial<TargetClocks> = QUICK) {
  const hostile = await parts.rawServer(listing === undefined ? { chat } : { chat, listing });
  const honest = await parts.simulator({ kind: 'vllm' });
  const target = targetOfRaw(hostile, { maxConcurrent: 64 });
  const started = await parts.gateway([
    { ...target, clocks: { ...target.clocks, ...clocks } },
    targetFor(honest, { id: 'honest', place: 'cloud' }),
  ]);
  return { hostile, honest, ...started };
}

const body = (canary: string, stream: boolean) => ({
  model: 'sim-model',
  stream,
  messages: [{ role: 'user', content: `canary:${canary}` }],
});

/** The reply's text, streamed or whole. */
async function textOf(response: Response, stream: boolean): Promise<string> {
  if (stream) return contentOf(await readEvents(response));
  return (await response.json()).choices[0].message.content;
}

/** Requests to the honest server, one after the other, until `over` says so: how long the slowest of them took. */
async function meanwhile({ chat }: TestGateway, over: () => boolean): Promise<{ slowestMs: number; wrong: string[] }> {
  let slowestMs = 0;
  const wrong: string[] = [];
  for (let n = 0; n < 3 || !over(); n++) {
    const startedAtMs = performance.now();
    const response = await chat(body(`OTHER${n}`, n % 2 === 0), { headers: { 'x-swarmrouter-place': 'cloud' } });
    const text = await textOf(response, n % 2 === 0);
    slowestMs = Math.max(slowestMs, performance.now() - startedAtMs);
    if (response.status !== 200 || !text.includes(`canary:OTHER${n}`)) wrong.push(text);
  }
  return { slowestMs, wrong };
}

const forEver =
  (head: string, bytes: string): RawAnswer =>
  async ({ socket }: RawExchange) => {
    socket.write(head);
    await writeForEver(socket, bytes, ENDLESS_BYTES);
  };

const once =
  (text: string): RawAnswer =>
  ({ socket }: RawExchange) =>
    void socket.write(text);

const OK_HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';
const HEADER = `x-more: ${'b'.repeat(1_000)}\r\n`;
const PIECE = 'a'.repeat(16_000);
const ROLE = 'data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n';

/** What each is taken for; where a whole reply is joined from a stream that may differ. */
const HOSTILE: readonly (readonly [string, RawAnswer, FailureKind, FailureKind?])[] = [
  ['endless headers', forEver('HTTP/1.1 200 OK\r\n', HEADER), 'malformed'],
  ['a header line without end', forEver('HTTP/1.1 200 OK\r\nx-more: ', PIECE), 'malformed'],
  ['informational replies without end', forEver('', 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(100)), 'timeout'],
  ['a switch of protocols that nobody asked for', once('HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n'), 'malformed'],
  ['a chunk size of sixteen exabytes', once(`${STREAM_HEAD}FFFFFFFFFFFFFFFF\r\nabc`), 'timeout'],
  ['a chunk size that no number holds', once(`${STREAM_HEAD}FFFFFFFFFFFFFFFFF\r\nabc`), 'malformed'],
  ['a chunk size without end', forEver(STREAM_HEAD, PIECE.replaceAll('a', '0')), 'malformed'],
  ['a chunk extension without end', forEver(`${STREAM_HEAD}5;`, PIECE), 'timeout'],
  ['trailers without end behind an empty body', forEver(`${STREAM_HEAD}0\r\n`, HEADER), 'timeout'],
  ['a negative length', once(`${OK_HEAD}content-length: -5\r\n\r\nabc`), 'malformed'],
  ['a length that no number holds', once(`${OK_HEAD}content-length: 99999999999999999999\r\n\r\nabc`), 'malformed'],
  ['two lengths', once(`${OK_HEAD}content-length: 3\r\ncontent-length: 5\r\n\r\nabcde`), 'malformed'],
  ['F-15 a line of events without end', forEver(`${STREAM_HEAD}3b9aca00\r\ndata: `, PIECE), 'malformed'],
  ['comments without end', forEver(STREAM_HEAD, framed(': still here\n'.repeat(20)).toString()), 'timeout'],
  ['empty deltas without end', forEver(STREAM_HEAD, framed(ROLE.repeat(100)).toString()), 'malformed', 'timeout'],
  [
    'an error body without end',
    forEver(`${STREAM_HEAD.replace('200 OK', '500 Oops')}`, framed(PIECE).toString()),
    'failed',
  ],
  [
    'a refusal (400) without end',
    forEver(STREAM_HEAD.replace('200 OK', '400 Bad'), framed(PIECE).toString()),
    'malformed',
  ],
];

describe('S-21 a hostile upstream costs only its own request', () => {
  for (const [name, answer, kind, kindOfWhole = kind] of HOSTILE) {
    for (const stream of [true, false]) {
      test(`${name}, ${stream ? 'streamed' : 'whole'}: another server answers, and nobody else notices`, async () => {
        const started = await hostileAndHonest(answer);
        const { result, megabytes } = await growthOf(async () => {
          let over = false;
          const others = meanwhile(started, () => over);
          const response = await started.chat(body('MINE', stream));
          const text = await textOf(response, stream);
          over = true;
          return { response, text, others: await others };
        });
        expect([result.response.status, servedBy(result.response)]).toEqual([200, 'honest']);
        expect(result.text).toContain('canary:MINE');
        expect(result.others.wrong).toEqual([]);
        expect(result.others.slowestMs).toBeLessThan(1_000);
        expect(megabytes).toBeLessThan(MAX_GROWTH_MB);
        const mine = started.outcomes.find(({ attempts }) => attempts.length === 2);
        expect(mine?.attempts.map(({ failure }) => failure)).toEqual([stream ? kind : kindOfWhole, null]);
        expect(started.hostile.chats.length).toBe(1);
        await until('its socket is closed', () => started.hostile.chats[0]?.socket.destroyed === true);
      });
    }
  }

  test('a whole reply of nothing but spaces is given up at our limit', async () => {
    const spaces = framed(' '.repeat(64_000)).toString();
    const answer = forEver(`${OK_HEAD}transfer-encoding: chunked\r\n\r\n`, spaces);
    const { chat, outcomes } = await hostileAndHonest(answer, undefined, PATIENT);
    const { result, megabytes } = await growthOf(() => chat(body('MINE', false)));
    expect([result.status, servedBy(result)]).toEqual([200, 'honest']);
    expect(outcomes[0]?.attempts[0]).toMatchObject({
      failure: 'malformed',
      failureMessage: expect.stringContaining('67108864'),
    });
    expect(megabytes).toBeLessThan(MAX_GROWTH_MB);
  });

  for (const [name, head] of [
    ['a whole reply', {}],
    ['an error', { status: '500 Oops' }],
    ['a stream', { 'content-type': 'text/event-stream' }],
  ] as const) {
    test(`F-17 a decompression bomb as ${name} is given up at our limit`, async () => {
      const bomb = httpReply(await hugeBomb(), { ...head, 'content-encoding': 'gzip' });
      const { chat, outcomes } = await hostileAndHonest(({ socket }) => void socket.write(bomb), undefined, PATIENT);
      const { result, megabytes } = await growthOf(() => chat(body('MINE', false)));
      expect([result.status, servedBy(result)]).toEqual([200, 'honest']);
      expect(outcomes[0]?.attempts[0]?.failure).toBe(name === 'an error' ? 'failed' : 'malformed');
      expect(megabytes).toBeLessThan(MAX_GROWTH_MB);
    });
  }

  for (const [name, listing] of [
    [
      'a decompression bomb',
      async ({ socket }: RawExchange) => void socket.write(httpReply(await hugeBomb(), { 'content-encoding': 'gzip' })),
    ],
    ['50 MB of models', ({ socket }: RawExchange) => void socket.write(httpReply(modelsOf(50_000_000)))],
    [
      'a redirect to nowhere',
      ({ socket }: RawExchange) =>
        void socket.write(httpReply('', { status: '302 Found', location: 'http://127.0.0.1:9/' })),
    ],
    ['headers without end', forEver('HTTP/1.1 200 OK\r\n', HEADER)],
  ] as const) {
    test(`a model list that is ${name} keeps its server out of rotation`, async () => {
      let started: Awaited<ReturnType<typeof hostileAndHonest>> | null = null;
      const { megabytes } = await growthOf(async () => {
        started = await hostileAndHonest(once(httpReply(completion('EVIL')).toString()), listing);
      });
      if (started === null) throw new Error('not started');
      const { chat, gateway, hostile } = started as Awaited<ReturnType<typeof hostileAndHonest>>;
      // This process makes and sends the list too, so the first probe of the other may come late.
      const healths = () => gateway.targets().map(({ health }) => health);
      await until('one is down and the other up', () => healths().join() === 'down,up', 10_000);
      expect(gateway.targets()[0]?.healthReason).toEqual(expect.any(String));
      const response = await chat(body('MINE', false));
      expect([response.status, servedBy(response)]).toEqual([200, 'honest']);
      expect(hostile.chats).toEqual([]);
      expect(megabytes).toBeLessThan(MAX_GROWTH_MB);
    }, 20_000);
  }
});

/** Pieces of an answer that never ends. */
const ENDLESS_ANSWERS: readonly (readonly [string, object])[] = [
  ['text', { content: PIECE }],
  ['reasoning', { reasoning_content: PIECE }],
  ['the arguments of a tool call', { tool_calls: [{ index: 0, id: 't', function: { name: 'f', arguments: PIECE } }] }],
  ['a field that nobody knows', { content: 'a', unknown: PIECE }],
];
const eventOf = (delta: object): string =>
  `data: ${JSON.stringify({ model: 'sim-model', choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`;

describe('S-21 an answer without end', () => {
  for (const [what, delta] of ENDLESS_ANSWERS) {
    test(`of ${what}, asked for whole, is given up at our limit, and nobody else notices`, async () => {
      const endless = forEver(STREAM_HEAD, framed(eventOf(delta).repeat(4)).toString());
      const started = await hostileAndHonest(endless, undefined, PATIENT);
      const { result, megabytes } = await growthOf(async () => {
        let over = false;
        const others = meanwhile(started, () => over);
        const response = await started.chat(body('MINE', false));
        over = true;
        return { response, others: await others };
      });
      expect([result.response.status, servedBy(result.response)]).toEqual([200, 'honest']);
      expect(result.others.wrong).toEqual([]);
      const mine = started.outcomes.find(({ attempts }) => attempts.length === 2);
      expect(mine?.attempts[0]).toMatchObject({
        failure: 'malformed',
        failureMessage: expect.stringContaining('67108864'),
      });
      expect(megabytes).toBeLessThan(MAX_GROWTH_MB * 2);
      await until('its socket is closed', () => started.hostile.chats[0]?.socket.destroyed === true);
    }, 40_000);
  }

  test('that is streamed ends with its clock and an error, costs no memory, and nobody else notices', async () => {
    const endless = forEver(STREAM_HEAD, framed(eventOf({ content: PIECE }).repeat(4)).toString());
    const started = await hostileAndHonest(endless, undefined, { ...PATIENT, streamMs: 1_500 });
    const { result, megabytes } = await growthOf(async () => {
      let over = false;
      const others = meanwhile(started, () => over);
      let tail = '';
      const response = await started.chat(body('MINE', true));
      for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
        tail = (tail + Buffer.from(bytes).toString('latin1')).slice(-500);
      }
      over = true;
      return { tail, others: await others };
    });
    expect(result.tail).toContain('"upstream_timeout"');
    expect(result.tail).not.toContain('[DONE]');
    expect(result.others.wrong).toEqual([]);
    expect(megabytes).toBeLessThan(MAX_GROWTH_MB);
    await until('its socket is closed', () => started.hostile.chats[0]?.socket.destroyed === true);
  }, 20_000);

  test('of half a million events in one go is one answer like any other', async () => {
    const events = eventOf({ content: 'a' }).repeat(500_000);
    const started = await hostileAndHonest(
      ({ socket }) =>
        void socket.write(`${STREAM_HEAD}${framed(`${events}${chunk(null)}data: [DONE]\n\n`)}${LAST_CHUNK}`),
      undefined,
      PATIENT,
    );
    let over = false;
    const others = meanwhile(started, () => over);
    const response = await started.chat(body('MINE', true));
    let letters = 0;
    for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
      letters += Buffer.from(bytes).toString('latin1').split('"content":"a"').length - 1;
    }
    over = true;
    expect(servedBy(response)).toBe('raw');
    // An event may be cut between two pieces that were counted apart.
    expect(letters).toBeGreaterThan(490_000);
    expect((await others).wrong).toEqual([]);
  }, 40_000);
});

function modelsOf(bytes: number): string {
  const model = { id: 'm', object: 'model', note: 'x'.repeat(1_000) };
  const data = Array.from({ length: Math.ceil(bytes / JSON.stringify(model).length) }, () => model);
  return JSON.stringify({ object: 'list', data });
}

describe('odd but honest framing', () => {
  for (const stream of [true, false]) {
    test(`10,000 chunks of one byte are one answer, ${stream ? 'streamed' : 'whole'}`, async () => {
      const words = 'wörd😀'.repeat(1_200);
      const { chat } = await hostileAndHonest(({ socket }) => {
        const events = `${chunk(words)}${chunk(null)}data: [DONE]\n\n`;
        const bytes = Buffer.from(stream ? events : completion(words));
        socket.write(stream ? STREAM_HEAD : STREAM_HEAD.replace('text/event-stream', 'application/json'));
        for (const byte of bytes) socket.write(framed(Uint8Array.of(byte)));
        socket.write(LAST_CHUNK);
      });
      const response = await chat(body('MINE', stream));
      expect(servedBy(response)).toBe('raw');
      expect(await textOf(response, stream)).toBe(words);
    });
  }

  test('informational replies before the answer are passed over', async () => {
    const { chat } = await hostileAndHonest(({ socket }) => {
      socket.write('HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n');
      socket.write(httpReply(completion('fine')));
    });
    expect(await textOf(await chat(body('MINE', false)), false)).toBe('fine');
  });

  test('an answer without a length ends where the connection ends', async () => {
    const { chat } = await hostileAndHonest(({ socket }) => void socket.end(`${OK_HEAD}\r\n${completion('fine')}`));
    expect(await textOf(await chat(body('MINE', false)), false)).toBe('fine');
  });

  test('F-11 `connection: close` and an end in the middle of a stream is truncation, never success', async () => {
    const { chat, outcomes } = await hostileAndHonest(({ socket }) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n');
      socket.write(chunk('half'), () => setTimeout(() => socket.end(), 20));
    });
    const events = await readEvents(await chat(body('MINE', true)));
    expect(contentOf(events)).toBe('half');
    expect(events.at(-1)).toMatchObject({ error: { code: 'upstream_truncated' } });
    expect(outcomes.map(({ kind }) => kind)).toEqual(['cut']);
  });

  test('trailers without end behind a finished stream do not hold up its client', async () => {
    const { chat, hostile } = await hostileAndHonest(async ({ socket }) => {
      socket.write(STREAM_HEAD + framed(`${chunk('all')}${chunk(null)}data: [DONE]\n\n`).toString());
      await writeForEver(socket, `0\r\n${HEADER}`, ENDLESS_BYTES);
    });
    const events = await readEvents(await chat(body('MINE', true)));
    expect([contentOf(events), events.at(-1)]).toEqual(['all', '[DONE]']);
    await until('its socket is closed', () => hostile.chats[0]?.socket.destroyed === true);
  });
});

describe('L-23 bytes behind an answer never become the answer to another request', () => {
  const echo = ({ request }: RawExchange): string => /canary:\w+/.exec(request.rawBody)?.[0] ?? 'no canary';

  test('a second answer in the same segment', async () => {
    const { chat, hostile } = await hostileAndHonest((exchange) => {
      exchange.socket.write(Buffer.concat([httpReply(completion(echo(exchange))), httpReply(completion('EVIL'))]));
    });
    for (let n = 0; n < 30; n++) expect(await textOf(await chat(body(`N${n}`, false)), false)).toBe(`canary:N${n}`);
    const together = Array.from({ length: 30 }, async (_, n) => textOf(await chat(body(`T${n}`, false)), false));
    expect(await Promise.all(together)).toEqual(Array.from({ length: 30 }, (_, n) => `canary:T${n}`));
    expect(hostile.chats.length).toBe(60);
  });

  test('a second answer on the idle connection', async () => {
    const { chat, hostile } = await hostileAndHonest((exchange) => {
      exchange.socket.write(httpReply(completion(echo(exchange))));
      setTimeout(() => exchange.socket.write(httpReply(completion('EVIL'))), 5);
    });
    for (let n = 0; n < 10; n++) {
      expect(await textOf(await chat(body(`N${n}`, false)), false)).toBe(`canary:N${n}`);
      await until('the connection is given up', () => hostile.chats.at(-1)?.socket.destroyed === true);
    }
  });

  test('more events behind the end marker', async () => {
    const { chat } = await hostileAndHonest((exchange) => {
      const events = `${chunk(echo(exchange))}${chunk(null)}data: [DONE]\n\n${chunk('EVIL')}`;
      exchange.socket.write(STREAM_HEAD + framed(events).toString() + LAST_CHUNK);
    });
    for (let n = 0; n < 10; n++) {
      const events = await readEvents(await chat(body(`N${n}`, true)));
      expect([contentOf(events), events.at(-1)]).toEqual([`canary:N${n}`, '[DONE]']);
    }
  });

  test('the rest of an answer that was given up', async () => {
    // The client leaves in the middle; what still comes must not reach the next one.
    const { chat, hostile } = await hostileAndHonest(async (exchange) => {
      exchange.socket.write(STREAM_HEAD + framed(chunk(echo(exchange))).toString());
      if (echo(exchange) === 'canary:LEAVES')
        await writeForEver(exchange.socket, framed(chunk('EVIL')).toString(), ENDLESS_BYTES);
      else exchange.socket.write(framed(`${chunk(null)}data: [DONE]\n\n`).toString() + LAST_CHUNK);
    });
    for (let n = 0; n < 5; n++) {
      const client = new AbortController();
      const leaving = await chat(body('LEAVES', true), { signal: client.signal });
      await leaving.body?.getReader().read();
      client.abort();
      expect(contentOf(await readEvents(await chat(body(`N${n}`, true))))).toBe(`canary:N${n}`);
    }
    await until('given up ones are closed', () =>
      hostile.chats.every((exchange) => echo(exchange) !== 'canary:LEAVES' || exchange.socket.destroyed),
    );
  });
});

describe('F-29 L-08 a redirect', () => {
  for (const status of ['301 Moved', '302 Found', '303 See Other', '307 Temporary', '308 Permanent']) {
    test(`${status} is not followed: neither the prompt nor the credential goes there`, async () => {
      const elsewhere = await parts.rawServer({ chat: once(httpReply(completion('EVIL')).toString()) });
      const { chat, outcomes, honest } = await hostileAndHonest(
        once(httpReply('', { status, location: `${elsewhere.baseUrl}/chat/completions` }).toString()),
      );
      const response = await chat(body('MINE', false));
      expect([response.status, servedBy(response)]).toEqual([200, 'honest']);
      expect(outcomes[0]?.attempts[0]?.failure).toBe('malformed');
      expect([elsewhere.chats.length, elsewhere.connections(), inference(honest).length]).toEqual([0, 0, 1]);
    });
  }
});
