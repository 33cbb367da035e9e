import { describe, expect, test } from 'bun:test';
import type { Bill, Billing, CallEnd, Purchase } from '../../src/core/billing.ts';
import { UpstreamError } from '../../src/core/failure.ts';
import { contentOf, readEvents, targetFor, until } from '../support/gateway.ts';
import { hurried } from '../support/hurried-clock.ts';
import { inference, runningParts, servedBy } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const PATIENT = { probeIntervalMs: 60_000 };

interface Entry {
  readonly purchase: Purchase;
  readonly ends: CallEnd[];
}

/** Keeps books in memory. `refuses`: those it does not let pass. `kept`: when an entry cannot be lost any more. */
class Books implements Billing {
  readonly entries: Entry[] = [];
  readonly #refuses: (purchase: Purchase) => boolean;
  readonly #kept: () => Promise<void> | null;

  constructor(refuses: (purchase: Purchase) => boolean = () => false, kept: () => Promise<void> | null = () => null) {
    this.#refuses = refuses;
    this.#kept = kept;
  }

  open(purchase: Purchase): Bill | Promise<Bill> {
    if (this.#refuses(purchase)) return Promise.reject(new UpstreamError('overBudget', '1 nano-USD is left of 2'));
    const entry: Entry = { purchase, ends: [] };
    this.entries.push(entry);
    return {
      terms: null,
      end: (end) => {
        entry.ends.push(end);
        return this.#kept();
      },
    };
  }

  get lines() {
    return this.entries.map(({ purchase: { attempt, target }, ends }) => [
      attempt,
      target.id,
      ...ends.map(({ failure, usage }) => failure ?? usage?.completionTokens ?? null),
    ]);
  }
}

const say = (stream = false) => ({ stream, messages: [{ role: 'user', content: 'one two three' }] });

describe('each upstream call has one bill', () => {
  for (const stream of [false, true]) {
    test(`with what the server reported, though the client did not ask for it (stream: ${stream})`, async () => {
      const books = new Books();
      const server = await simulator({ kind: 'llama-cpp', replyTokens: 7 });
      const { chat } = await gateway([targetFor(server)], { ...PATIENT, billing: books });
      await (await chat(say(stream))).text();
      expect(books.lines).toEqual([[1, 'llamacpp', 7]]);
      expect(books.entries[0]?.ends[0]).toMatchObject({ usage: { promptTokens: 3 }, producedTokens: 7, status: null });
    });
  }

  test('the failed ones too, numbered through', async () => {
    const books = new Books();
    const [broken, whole] = [
      await simulator({ kind: 'lm-studio' }),
      await simulator({ kind: 'llama-cpp', replyTokens: 5 }),
    ];
    await broken.setFault({ kind: 'status', status: 500 });
    const { chat } = await gateway([targetFor(broken), targetFor(whole)], { ...PATIENT, billing: books });
    while (!books.entries.some(({ purchase }) => purchase.target.id === 'lmstudio')) await chat(say());
    expect(books.lines.slice(-2)).toEqual([
      [1, 'lmstudio', 'failed'],
      [2, 'llamacpp', 5],
    ]);
  });

  test('that counts what came until the client left', async () => {
    const books = new Books();
    const server = await simulator({ kind: 'llama-cpp', replyTokens: 1_000, tokensPerSecond: 200 });
    const { chat } = await gateway([targetFor(server)], { ...PATIENT, billing: books });
    const leaving = new AbortController();
    const reply = await chat(say(true), { signal: leaving.signal });
    await reply.body?.getReader().read();
    leaving.abort();
    await until('the bill is ended', () => books.entries[0]?.ends.length === 1);
    const [end] = books.entries[0]?.ends ?? [];
    expect(end).toMatchObject({ failure: 'cancelled', usage: null });
    expect(end?.producedTokens).toBeGreaterThan(0);
  });

  test('of an answer that another server went on with: one for each part', async () => {
    const books = new Books();
    const one = await simulator({ kind: 'llama-cpp', replyTokens: 20, tokensPerSecond: 500 });
    const other = await simulator({ kind: 'vllm', replyTokens: 20, tokensPerSecond: 500 });
    await one.setFault({ kind: 'cut', afterChunks: 5 });
    const targets = [targetFor(one), targetFor(other)];
    const { chat } = await gateway(targets, { ...PATIENT, billing: books, streamRecovery: true });
    while (!books.entries.some(({ purchase }) => purchase.target.id === 'llamacpp')) {
      await (await chat(say(true))).text();
    }
    const [first, second, ...more] = books.entries.slice(-2);
    expect(first?.ends).toMatchObject([{ failure: 'truncated', usage: null }]);
    expect(first?.ends[0]?.producedTokens).toBeGreaterThan(0);
    expect(second?.ends).toMatchObject([{ failure: null }]);
    expect([first?.purchase.attempt, second?.purchase.attempt, more]).toEqual([1, 2, []]);
  });
});

describe('a client sees the end of its answer only once its cost cannot be lost', () => {
  async function slowBooks(stream: boolean) {
    const keeps: (() => void)[] = [];
    const books = new Books(undefined, () => new Promise((resolve) => keeps.push(resolve)));
    const server = await simulator({ kind: 'llama-cpp', replyTokens: 3 });
    const { chat } = await gateway([targetFor(server)], { ...PATIENT, billing: books });
    let text = '';
    const ended = chat(say(stream)).then(async (reply) => {
      const decoder = new TextDecoder();
      for await (const bytes of reply.body ?? []) text += decoder.decode(bytes, { stream: true });
    });
    await until('it is billed', () => keeps.length === 1);
    // Time for bytes that should not come.
    await Bun.sleep(50);
    const before = text;
    for (const keep of keeps) keep();
    await ended;
    return { before, after: text };
  }

  test('whole: nothing before', async () => {
    const { before, after } = await slowBooks(false);
    expect([before, after.length > 0]).toEqual(['', true]);
  });

  test('streamed: all but the end marker', async () => {
    const { before, after } = await slowBooks(true);
    expect([before.includes('"delta"'), before.includes('[DONE]'), after.endsWith('data: [DONE]\n\n')]).toEqual([
      true,
      false,
      true,
    ]);
  });
});

describe('a call that nobody pays for', () => {
  test('is not made, and a target that costs less is asked', async () => {
    const books = new Books(({ target }) => target.place === 'cloud');
    const cloud = await simulator({ kind: 'openrouter', models: [{ id: 'm' }] });
    const local = await simulator({ kind: 'llama-cpp', models: [{ id: 'm' }] });
    const { chat } = await gateway([targetFor(cloud), targetFor(local)], { ...PATIENT, billing: books });
    const pinned = await chat({ ...say(), model: 'openrouter/m' });
    const { error } = (await pinned.json()) as { error: { code: string; type: string; message: string } };
    expect([pinned.status, error.code, error.type]).toEqual([429, 'insufficient_quota', 'insufficient_quota']);
    expect(error.message).toContain('1 nano-USD is left of 2');
    expect(inference(cloud)).toEqual([]);
    expect(servedBy(await chat(say()))).toBe('llamacpp');
  });

  test('leaves its slot to others, and the target in good health', async () => {
    let refuses = true;
    const books = new Books(() => refuses);
    const server = await simulator({ kind: 'llama-cpp' });
    const started = await gateway([targetFor(server, { maxConcurrent: 1 })], { ...PATIENT, billing: books });
    for (let n = 0; n < 12; n++) expect((await started.chat(say())).status).toBe(429);
    expect(started.gateway.targets()[0]).toMatchObject({ health: 'up', inFlight: 0 });
    refuses = false;
    expect((await started.chat(say())).status).toBe(200);
  });
});

describe('whoever keeps the books', () => {
  test('may fail at once: the request fails, and its slot is free', async () => {
    const broken: Billing = {
      open: () => {
        throw new Error('no books');
      },
    };
    const server = await simulator({ kind: 'llama-cpp' });
    const started = await gateway([targetFor(server)], { ...PATIENT, billing: broken });
    expect((await started.chat(say())).status).toBe(502);
    expect(started.gateway.targets()[0]?.inFlight).toBe(0);
    expect(inference(server)).toEqual([]);
  });

  test('holds nobody for ever: what cannot be put on record does not end as if it were', async () => {
    const never = new Books(undefined, () => new Promise(() => undefined));
    const server = await simulator({ kind: 'llama-cpp', replyTokens: 5 });
    const [hour, queueMs] = [3_600_000, null];
    const clocks = {
      connectMs: hour,
      firstByteMs: hour,
      firstTokenMs: hour,
      idleMs: hour,
      warmupMs: hour,
      streamMs: hour,
    };
    const started = await gateway([targetFor(server, { clocks: { ...clocks, queueMs } })], {
      ...{ probeIntervalMs: hour, requestTimeoutMs: hour, clientStallMs: hour },
      ...{ billing: never, clock: hurried(60) },
    });
    const whole = await started.chat(say());
    expect([whole.status, (await whole.json()).error]).toEqual([
      503,
      expect.objectContaining({
        code: 'ledger_unavailable',
        message: expect.stringContaining('on record within 30 s'),
      }),
    ]);
    const events = await readEvents(await started.chat(say(true)));
    expect(events.at(-1)).toMatchObject({ error: { code: 'ledger_unavailable' } });
    expect(contentOf(events).split(' ').length).toBe(5);
    await server.setFault({ kind: 'status', status: 400 });
    expect((await started.chat(say())).status).toBe(400);
    expect(started.gateway.targets()[0]?.inFlight).toBe(0);
  }, 20_000);

  test('holds up nobody who has left, and a bill that comes late is ended', async () => {
    const ends: CallEnd[] = [];
    const bill: Bill = {
      terms: null,
      end: (end) => {
        ends.push(end);
        return null;
      },
    };
    const opens: ((late: Bill) => void)[] = [];
    const slow: Billing = { open: () => new Promise((resolve) => opens.push(resolve)) };
    const server = await simulator({ kind: 'llama-cpp' });
    const started = await gateway([targetFor(server)], { ...PATIENT, billing: slow });
    const leaving = new AbortController();
    const reply = started.chat(say(), { signal: leaving.signal }).catch(() => null);
    await until('its bill is being opened', () => opens.length === 1);
    leaving.abort();
    await reply;
    await until('its slot is free', () => started.gateway.targets()[0]?.inFlight === 0);
    opens[0]?.(bill);
    await until('the bill is ended', () => ends.length === 1);
    expect([ends[0]?.failure, inference(server).length]).toEqual(['cancelled', 0]);
  });
});

test('after whatever happened every bill has been ended once', async () => {
  const books = new Books();
  const servers = [
    await simulator({ kind: 'lm-studio', replyTokens: 20 }),
    await simulator({ kind: 'llama-cpp', replyTokens: 20 }),
    await simulator({ kind: 'openrouter', models: [{ id: 'm' }] }),
  ];
  const started = await gateway(
    servers.map((server) => targetFor(server)),
    { ...PATIENT, billing: books, streamRecovery: true },
  );
  const faults = [
    { kind: 'status', status: 500 },
    { kind: 'status', status: 429 },
    { kind: 'cut', afterChunks: 3 },
    { kind: 'reset-after-bytes', bytes: 300 },
  ] as const;
  const requests = Array.from({ length: 120 }, async (_, n) => {
    for (const server of servers) if (n % 3 === 0) server.faultNext(1, faults[n % faults.length] as never);
    const leaving = new AbortController();
    if (n % 7 === 0) setTimeout(() => leaving.abort(), n % 20);
    const reply = await started.chat(say(n % 2 === 0), { signal: leaving.signal });
    await readEvents(reply);
  });
  await Promise.allSettled(requests);
  await until('nothing is under way', () => started.gateway.targets().every(({ inFlight }) => inFlight === 0));
  expect(books.entries.length).toBeGreaterThan(100);
  expect(books.entries.filter(({ ends }) => ends.length !== 1)).toEqual([]);
});
