import { Database } from 'bun:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_PAYER, type Ledger } from '../../src/core/ledger.ts';
import type { Logger } from '../../src/core/logger.ts';
import { BudgetRepository } from '../../src/stores/sql/repositories/budgets.ts';
import { verifyLedger } from '../../src/stores/sql/repositories/verify.ts';
import type { SqlStore } from '../../src/stores/sql/sql-store.ts';
import { sqliteFileLocks } from '../../src/stores/sqlite/file-locks.ts';
import { openSqliteStore } from '../../src/stores/sqlite/sqlite-store.ts';
import { systemClock } from '../../src/system-clock.ts';
import { LedgerBilling, type LedgerBillingOptions, type PayingCaller } from '../../src/usage/billing/ledger-billing.ts';
import type { Pricing } from '../../src/usage/billing/pricing.ts';
import { openLedger } from '../../src/usage/ledger/open-ledger.ts';
import { streamedReply, wholeReply } from '../support/chat-server.ts';
import { readEvents, type TestGateway, targetFor, until } from '../support/gateway.ts';
import { inference, runningParts, servedBy } from '../support/running.ts';

const { simulator, chatServer, gateway } = runningParts();
const PATIENT = { probeIntervalMs: 60_000 };
const silent = (): void => undefined;
const logger: Logger = { debug: silent, info: silent, warn: silent, error: silent };

/** Nano-USD a token. */
interface Rates {
  readonly input: number;
  readonly output: number;
}

/** Two and five a token in the cloud, save for what has no price; nothing at home, where the cloud's is what is saved. */
const CLOUD: Rates = { input: 2, output: 5 };
const priced = (rates: Rates, prompt: number, output: number): number => rates.input * prompt + rates.output * output;
const PRICES: Pricing<Rates> = {
  priceOf: ({ target, model }) => (target.place === 'local' || model === 'unpriced' ? null : CLOUD),
  estimateNanoUsd: (prompt, output, rates) => (rates === null ? null : priced(rates, prompt, output)),
  publishedPrices: ({ input, output }) => ({ prompt: input / 1_000, completion: output / 1_000, request: 0, image: 0 }),
  costOf: ({ promptTokens, completionTokens, costNanoUsd }, rates) => {
    if (costNanoUsd !== null) return { nanoUsd: costNanoUsd, source: 'provider' };
    if (rates === null) return { nanoUsd: null, source: 'unknown' };
    return { nanoUsd: priced(rates, promptTokens, completionTokens), source: 'catalogue' };
  },
  savedNanoUsd: ({ target }, { promptTokens, completionTokens }) =>
    target.place === 'local' ? priced(CLOUD, promptTokens, completionTokens) : 0,
};

let folder: string;
let store: SqlStore;
let ledger: Ledger;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'swarmrouter-bills-'));
  store = await openSqliteStore({ dataDir: folder, clock: systemClock });
  ledger = await openLedger({
    store,
    clock: systemClock,
    logger,
    journalFolder: folder,
    locks: sqliteFileLocks,
    newOwnerId: randomUUID,
    reserveWaitMs: 0,
  });
});
afterEach(async () => {
  await ledger.close();
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

const billing = (options: Partial<LedgerBillingOptions<Rates>> = {}) =>
  new LedgerBilling({
    ledger,
    pricing: PRICES,
    clock: systemClock,
    newAttemptId: () => Bun.randomUUIDv7(),
    ...options,
  });

async function rows() {
  await ledger.flush();
  return await store.db.selectFrom('ledger_attempt').selectAll().orderBy('attempt_id').execute();
}

const ALICE = { ...DEFAULT_PAYER, keyId: 'alice' };
const limited = (...hardBudgets: PayingCaller['hardBudgets']) => ({ payerOf: () => ({ payer: ALICE, hardBudgets }) });

async function budgetOfAlice(limit: number, unit: 'usd' | 'tokens' = 'usd'): Promise<void> {
  const budget = { organisationId: 'default', budgetId: 'b', hard: true, createdAtMs: 0, window: 'month' } as const;
  await new BudgetRepository(store.db).create({ ...budget, scope: 'key', scopeId: 'alice', unit, limit });
}

const windows = () => store.db.selectFrom('budget_window').select(['reserved', 'settled']).execute();

/** Three tokens of prompt for the simulators. */
const say = (change: object = {}) => ({ messages: [{ role: 'user', content: 'one two three' }], ...change });
const MODELS = { models: [{ id: 'm' }, { id: 'unpriced' }] };

describe('each upstream call is a row of the ledger', () => {
  for (const stream of [false, true]) {
    test(`that is there, with what it used, when the client has its answer (stream: ${stream})`, async () => {
      const server = await simulator({ kind: 'vllm', replyTokens: 7, ...MODELS });
      const { chat } = await gateway([targetFor(server, { place: 'cloud' })], { ...PATIENT, billing: billing() });
      const headers = { 'x-request-id': 'my-request' };
      await (await chat(say({ stream, model: 'm' }), { headers })).text();
      expect(await rows()).toMatchObject([
        {
          organisation_id: 'default',
          project_id: 'default',
          key_id: null,
          request_id: 'my-request',
          attempt: 1,
          target_id: 'vllm',
          adapter_kind: 'vllm',
          place: 'cloud',
          model: 'm',
          operation: 'chat',
          stream: stream ? 1 : 0,
          state: 'settled',
          client_outcome: 'served',
          input_tokens: 3,
          output_tokens: 7,
          cost_nano_usd: 2 * 3 + 5 * 7,
          cost_source: 'catalogue',
          saved_nano_usd: 0,
          estimated: 0,
        },
      ]);
    });
  }

  test('at the price that the provider names itself', async () => {
    const server = await simulator({ kind: 'openrouter', replyTokens: 7, ...MODELS });
    const { chat } = await gateway([targetFor(server)], { ...PATIENT, billing: billing() });
    await (await chat(say({ model: 'm' }))).text();
    const [row] = await rows();
    expect([row?.cost_source, (row?.cost_nano_usd ?? 0) > 0]).toEqual(['provider', true]);
  });

  test('free at home, with what the cloud would have charged', async () => {
    const server = await simulator({ kind: 'llama-cpp', replyTokens: 7 });
    const { chat } = await gateway([targetFor(server)], { ...PATIENT, billing: billing() });
    await (await chat(say())).text();
    expect(await rows()).toMatchObject([{ cost_nano_usd: 0, cost_source: 'local-rate', saved_nano_usd: 41 }]);
  });

  test('the failed one too, which costs nothing when the server did not begin', async () => {
    const broken = await simulator({ kind: 'lm-studio' });
    const whole = await simulator({ kind: 'llama-cpp' });
    await broken.setFault({ kind: 'status', status: 500 });
    const { chat } = await gateway([targetFor(broken), targetFor(whole)], { ...PATIENT, billing: billing() });
    await until('the broken one was asked', async () => {
      await (await chat(say())).text();
      return (await rows()).some((row) => row.target_id === 'lmstudio');
    });
    const [failed, served] = (await rows()).slice(-2);
    expect(failed).toMatchObject({ attempt: 1, state: 'voided', failure: 'failed', status: 500, cost_nano_usd: 0 });
    expect(served).toMatchObject({ attempt: 2, state: 'settled', request_id: failed?.request_id });
  });

  test('of a client that left, with what came until then', async () => {
    const server = await simulator({ kind: 'vllm', replyTokens: 1_000, tokensPerSecond: 200, ...MODELS });
    const { chat } = await gateway([targetFor(server, { place: 'cloud' })], { ...PATIENT, billing: billing() });
    const leaving = new AbortController();
    const reply = await chat(say({ stream: true, model: 'm' }), { signal: leaving.signal });
    await reply.body?.getReader().read();
    leaving.abort();
    await until('its row has ended', async () => (await rows()).some((row) => row.state !== 'reserved'));
    const [row] = await rows();
    expect(row).toMatchObject({ state: 'settled', failure: 'cancelled', client_outcome: 'abandoned', estimated: 1 });
    const output = row?.output_tokens ?? 0;
    expect(output).toBeGreaterThan(0);
    expect(output).toBeLessThan(1_000);
    expect(row?.cost_nano_usd).toBe(2 * (row?.input_tokens ?? 0) + 5 * output);
  });

  test('whose price nobody knows, when the client has no hard budget', async () => {
    const server = await simulator({ kind: 'vllm', ...MODELS });
    const { chat } = await gateway([targetFor(server, { place: 'cloud' })], { ...PATIENT, billing: billing() });
    expect((await chat(say({ model: 'unpriced' }))).status).toBe(200);
    expect(await rows()).toMatchObject([{ state: 'settled', cost_nano_usd: null, cost_source: 'unknown' }]);
  });
});

describe('a client with a hard budget', () => {
  const ofTen = { max_tokens: 10, model: 'm' };
  /** A byte of the prompt may be a token, and a template adds to it. */
  const MOST_PROMPT = 104;
  const ASKED = 2 * MOST_PROMPT + 5 * 10;

  test('has what a call may cost set aside before it is sent, and the rest given back', async () => {
    await budgetOfAlice(1_000);
    const server = await simulator({ kind: 'vllm', replyTokens: 4, firstTokenMs: 200, ...MODELS });
    const started = await gateway([targetFor(server, { place: 'cloud' })], {
      ...PATIENT,
      billing: billing(limited('usd')),
    });
    const reply = started.chat(say(ofTen));
    await until('it was sent', () => inference(server).length === 1);
    expect(await windows()).toEqual([{ reserved: ASKED, settled: 0 }]);
    await (await reply).text();
    expect(await windows()).toEqual([{ reserved: 0, settled: 2 * 3 + 5 * 4 }]);
  });

  test('is refused what does not fit, in words that say why, and may go where it costs nothing', async () => {
    await budgetOfAlice(ASKED - 1);
    const cloud = await simulator({ kind: 'openrouter', models: [{ id: 'm' }] });
    const local = await simulator({ kind: 'llama-cpp', models: [{ id: 'm' }] });
    const { chat } = await gateway([targetFor(cloud), targetFor(local)], {
      ...PATIENT,
      billing: billing(limited('usd')),
    });
    const refused = await chat(say({ ...ofTen, model: 'openrouter/m' }));
    const { error } = (await refused.json()) as { error: { code: string; message: string } };
    expect([refused.status, error.code]).toEqual([429, 'insufficient_quota']);
    expect(error.message).toContain('budget of the key "');
    expect(error.message).toMatch(
      /It will never be let in: .* With max_tokens of at most 9 it fits now\. The budget resets at 20\d\d-.*Z\.$/,
    );
    expect([inference(cloud).length, await rows()]).toEqual([0, []]);
    const calls = (reply: Response) => reply.headers.get('x-swarmrouter-attempts');
    expect(calls(refused)).toBe('0');
    const served = await chat(say(ofTen));
    expect([servedBy(served), calls(served)]).toEqual(['llamacpp', '1']);
  });

  test('is refused a model without a price in money, not in tokens', async () => {
    await budgetOfAlice(100_000, 'tokens');
    const server = await simulator({ kind: 'vllm', replyTokens: 4, ...MODELS });
    const target = targetFor(server, { place: 'cloud' });
    const inMoney = await gateway([target], { ...PATIENT, billing: billing(limited('usd')) });
    const refused = await inMoney.chat(say({ model: 'unpriced' }));
    expect([refused.status, await refused.text()]).toEqual([429, expect.stringContaining('No price is known')]);
    expect(inference(server)).toEqual([]);
    const inTokens = await gateway([target], { ...PATIENT, billing: billing(limited('tokens')) });
    expect((await inTokens.chat(say({ model: 'unpriced' }))).status).toBe(200);
    expect(await windows()).toEqual([{ reserved: 0, settled: 3 + 4 }]);
  });

  test('gets through exactly as often as the budget allows, however many ask at once', async () => {
    await budgetOfAlice(10 * ASKED + 7);
    const server = await simulator({ kind: 'vllm', replyTokens: 10, firstTokenMs: 300, ...MODELS });
    const started = await gateway([targetFor(server, { place: 'cloud' })], {
      ...PATIENT,
      billing: billing(limited('usd')),
    });
    const replies = await Promise.all(Array.from({ length: 60 }, () => started.chat(say(ofTen))));
    await Promise.all(replies.map((reply) => reply.text()));
    expect(inference(server).length).toBe(replies.filter(({ status }) => status === 200).length);
    // What a call did not use is given back while others still ask.
    expect(inference(server).length).toBeGreaterThanOrEqual(10);
    const [window] = await windows();
    expect(window?.reserved).toBe(0);
    expect(window?.settled).toBeLessThanOrEqual(10 * ASKED + 7);
    expect((await verifyLedger(store)).findings).toEqual([]);
  });
});

describe('A-06: an answer whose provider does not say what it used', () => {
  const WORDS = 'one two three four';
  const MOST = 50;
  /** What the provider charges all the same. */
  const silent = async (stream: boolean, content = WORDS) => {
    const reply = stream ? streamedReply(content) : wholeReply(content);
    return await chatServer({ models: [{ id: 'm' }], reply: () => reply });
  };
  const targetOf = ({ baseUrl }: { baseUrl: string }, place: 'cloud' | 'local' = 'cloud') =>
    targetFor({ kind: 'openai-compatible', baseUrl }, { place });
  const asked = (stream: boolean) => say({ model: 'm', stream, max_tokens: MOST });

  for (const stream of [false, true]) {
    test(`is paid from a hard budget with what was set aside for it (stream: ${stream})`, async () => {
      await budgetOfAlice(10_000);
      const server = await silent(stream);
      const { chat } = await gateway([targetOf(server)], { ...PATIENT, billing: billing(limited('usd')) });
      const reply = await chat(asked(stream));
      expect([reply.status, await reply.text()]).toEqual([200, expect.stringContaining(WORDS)]);
      const [row] = await rows();
      expect(row).toMatchObject({ state: 'unknown', failure: null, client_outcome: 'served', estimated: 1 });
      expect(row?.cost_nano_usd).toBe(row?.reserved_nano_usd ?? 0);
      expect(await windows()).toEqual([{ reserved: 0, settled: row?.reserved_nano_usd ?? 0 }]);
      expect(row?.reserved_nano_usd).toBeGreaterThanOrEqual(5 * MOST);
      expect((await verifyLedger(store)).findings).toEqual([]);
    });

    test(`is paid so from one in tokens, too (stream: ${stream})`, async () => {
      await budgetOfAlice(10_000, 'tokens');
      const server = await silent(stream);
      const { chat } = await gateway([targetOf(server)], { ...PATIENT, billing: billing(limited('tokens')) });
      await (await chat(asked(stream))).text();
      const [row] = await rows();
      expect(await windows()).toEqual([{ reserved: 0, settled: row?.reserved_tokens ?? 0 }]);
      expect(row?.reserved_tokens).toBeGreaterThanOrEqual(MOST);
    });

    test(`is paid with what was seen where there is no hard budget (stream: ${stream})`, async () => {
      const server = await silent(stream);
      const { chat } = await gateway([targetOf(server)], { ...PATIENT, billing: billing() });
      await (await chat(asked(stream))).text();
      const [row] = await rows();
      expect(row).toMatchObject({ state: 'settled', client_outcome: 'served', estimated: 1 });
      expect(row?.output_tokens).toBeGreaterThanOrEqual(5);
      expect(row?.cost_nano_usd).toBe(2 * (row?.input_tokens ?? 0) + 5 * (row?.output_tokens ?? 0));
    });

    test(`costs nothing more at a server of one’s own, hard budget or not (stream: ${stream})`, async () => {
      await budgetOfAlice(10_000);
      const server = await silent(stream);
      const { chat } = await gateway([targetOf(server, 'local')], { ...PATIENT, billing: billing(limited('usd')) });
      await (await chat(asked(stream))).text();
      expect(await rows()).toMatchObject([{ state: 'settled', estimated: 1, cost_nano_usd: 0 }]);
    });
  }

  test('and that breaks off is paid so from a hard budget, too: all of it may have been written', async () => {
    await budgetOfAlice(10_000);
    const broken = streamedReply(WORDS).split('data: ').slice(0, 2).join('data: ');
    const server = await chatServer({ models: [{ id: 'm' }], reply: () => broken });
    const { chat } = await gateway([targetOf(server)], { ...PATIENT, billing: billing(limited('usd')) });
    expect(await (await chat(asked(true))).text()).toContain('upstream_truncated');
    const [row] = await rows();
    expect(row).toMatchObject({ state: 'unknown', failure: 'truncated', client_outcome: 'cut' });
    expect(row?.cost_nano_usd).toBe(row?.reserved_nano_usd ?? 0);
  });
});

describe('A-07: a client that leaves while its provider charges the whole answer all the same', () => {
  const REPLY = 300;
  const slow = { replyTokens: REPLY, tokensPerSecond: 1_000, firstTokenMs: 100, ...MODELS };

  /** A client that leaves after its first bytes, or at once. */
  async function leave(started: { chat: TestGateway['chat'] }, body: object, when: 'reading' | 'waiting') {
    const leaving = new AbortController();
    const asked = started.chat(say({ model: 'm', ...body }), { signal: leaving.signal });
    if (when === 'reading') await (await asked).body?.getReader().read();
    else await Bun.sleep(50);
    leaving.abort();
    await asked.catch(() => undefined);
  }

  const ended = () => until('its row has ended', async () => (await rows()).every(({ state }) => state !== 'reserved'));

  for (const [stream, when] of [
    [true, 'reading'],
    [true, 'waiting'],
    [false, 'waiting'],
  ] as const) {
    test(`is charged what the provider says in the end (\`drain\`; stream: ${stream}, left while ${when})`, async () => {
      const server = await simulator({ kind: 'openai-compatible', ...slow });
      const target = targetFor(server, { place: 'cloud', onDisconnect: 'drain' });
      const started = await gateway([target], { ...PATIENT, billing: billing() });
      await leave(started, { stream }, when);
      await until('the client is gone', () => started.outcomes.length === 1);
      expect(started.outcomes[0]?.kind).toBe('abandoned');
      expect(await rows()).toMatchObject([{ state: 'reserved' }]);
      await ended();
      expect(await rows()).toMatchObject([
        {
          ...{ state: 'settled', failure: 'cancelled', client_outcome: 'abandoned', estimated: 0 },
          ...{ input_tokens: 3, output_tokens: REPLY, cost_nano_usd: 2 * 3 + 5 * REPLY },
        },
      ]);
      expect(inference(server).map(({ aborted }) => aborted)).toEqual([false]);
    });
  }

  test('costs what came until then where that ends the call, which is the rule', async () => {
    const server = await simulator({ kind: 'openai-compatible', ...slow });
    const target = targetFor(server, { place: 'cloud' });
    const started = await gateway([target], { ...PATIENT, billing: billing() });
    await leave(started, { stream: true }, 'reading');
    await ended();
    expect(await rows()).toMatchObject([{ state: 'settled', client_outcome: 'abandoned', estimated: 1 }]);
    expect((await rows())[0]?.output_tokens).toBeLessThan(REPLY);
    expect(inference(server).map(({ aborted }) => aborted)).toEqual([true]);
  });

  test('holds what was set aside for it until it is known', async () => {
    await budgetOfAlice(10_000);
    const server = await simulator({ kind: 'openai-compatible', ...slow });
    const target = targetFor(server, { place: 'cloud', onDisconnect: 'drain' });
    const started = await gateway([target], { ...PATIENT, billing: billing(limited('usd')) });
    await leave(started, { stream: true, max_tokens: REPLY }, 'reading');
    expect((await windows())[0]?.reserved).toBeGreaterThan(5 * REPLY);
    await ended();
    expect(await windows()).toEqual([{ reserved: 0, settled: 2 * 3 + 5 * REPLY }]);
  });

  for (const [stream, when] of [
    [true, 'reading'],
    [true, 'waiting'],
    [false, 'waiting'],
  ] as const) {
    test(`pays what was set aside from its hard budget where nobody says what was charged (stream: ${stream}, left while ${when})`, async () => {
      await budgetOfAlice(10_000);
      const server = await simulator({ kind: 'openai-compatible', ...slow });
      const target = targetFor(server, { place: 'cloud' });
      const started = await gateway([target], { ...PATIENT, billing: billing(limited('usd')) });
      await leave(started, { stream, max_tokens: REPLY }, when);
      await ended();
      const [window] = await windows();
      expect(window?.reserved).toBe(0);
      expect(window?.settled).toBeGreaterThanOrEqual(5 * REPLY);
      expect(await rows()).toMatchObject([
        {
          ...{ state: 'unknown', failure: 'cancelled', client_outcome: 'abandoned', estimated: 1 },
          cost_nano_usd: window?.settled,
        },
      ]);
      expect((await verifyLedger(store)).findings).toEqual([]);
    });
  }

  test('pays nothing for what was seen at a server of one’s own, hard budget or not', async () => {
    await budgetOfAlice(10_000);
    const server = await simulator({ kind: 'openai-compatible', ...slow });
    const target = targetFor(server, { place: 'local' });
    const started = await gateway([target], { ...PATIENT, billing: billing(limited('usd')) });
    await leave(started, { stream: true, max_tokens: REPLY }, 'reading');
    await ended();
    expect(await rows()).toMatchObject([{ state: 'settled', client_outcome: 'abandoned', cost_nano_usd: 0 }]);
  });

  test('is not read on beyond the end of the gateway: what came until then counts', async () => {
    const server = await simulator({ kind: 'openai-compatible', ...slow, tokensPerSecond: 20 });
    const target = targetFor(server, { place: 'cloud', onDisconnect: 'drain' });
    const started = await gateway([target], { ...PATIENT, billing: billing() });
    await leave(started, { stream: true }, 'reading');
    await until('the client is gone', () => started.outcomes.length === 1);
    await started.gateway.stop(0);
    const [row] = await rows();
    expect(row).toMatchObject({ state: 'settled', client_outcome: 'abandoned', estimated: 1 });
    expect(row?.output_tokens).toBeGreaterThan(0);
  });
});

describe('while the ledger takes nothing', () => {
  const lock = (): Database => {
    const other = new Database(join(folder, 'swarmrouter.db'));
    other.run('begin immediate');
    return other;
  };

  test('clients without a hard budget are served, and the rows come later', async () => {
    const server = await simulator({ kind: 'llama-cpp', replyTokens: 7 });
    const { chat } = await gateway([targetFor(server)], { ...PATIENT, billing: billing() });
    const other = lock();
    const replies = await Promise.all(Array.from({ length: 5 }, () => chat(say({ stream: true }))));
    for (const reply of replies) expect((await readEvents(reply)).at(-1)).toBe('[DONE]');
    await ledger.flush();
    expect(ledger.health().state).toBe('spilling');
    other.run('rollback');
    other.close();
    await until('it takes usage again', () => ledger.health().state === 'ok');
    expect((await rows()).map((row) => [row.state, row.output_tokens])).toEqual(Array(5).fill(['settled', 7]));
  });

  test('clients with one are refused, and nothing stays set aside', async () => {
    await budgetOfAlice(1_000);
    const server = await simulator({ kind: 'vllm', ...MODELS });
    const started = await gateway([targetFor(server, { place: 'cloud' })], {
      ...PATIENT,
      billing: billing(limited('usd')),
    });
    const other = lock();
    const refused = await started.chat(say({ max_tokens: 10, model: 'm' }));
    const text = await refused.text();
    expect([refused.status, text]).toEqual([503, expect.stringContaining('ledger_unavailable')]);
    expect(JSON.parse(text).error.message).toBe(
      'A hard budget applies to this request, and whether it has room cannot be told now: another process holds the database locked. Try again in a moment.',
    );
    expect(inference(server)).toEqual([]);
    other.run('rollback');
    other.close();
    await until('it takes usage again', () => ledger.health().state === 'ok');
    await ledger.flush();
    expect((await windows()).filter(({ reserved }) => reserved > 0)).toEqual([]);
    expect((await started.chat(say({ max_tokens: 10, model: 'm' }))).status).toBe(200);
  });
});

test('after whatever happened each call has one row that has ended, and nothing is set aside', async () => {
  await budgetOfAlice(100_000_000);
  const servers = [
    await simulator({ kind: 'lm-studio', replyTokens: 20 }),
    await simulator({ kind: 'llama-cpp', replyTokens: 20 }),
    await simulator({ kind: 'openrouter', models: [{ id: 'm' }] }),
  ];
  const started = await gateway(
    servers.map((server) => targetFor(server)),
    { ...PATIENT, billing: billing(limited('usd')), streamRecovery: true },
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
    await readEvents(await started.chat(say({ stream: n % 2 === 0, max_tokens: 20 }), { signal: leaving.signal }));
  });
  await Promise.allSettled(requests);
  await until('nothing is under way', () => started.gateway.targets().every(({ inFlight }) => inFlight === 0));
  await ledger.flush();
  const found = await rows();
  expect(found.length).toBeGreaterThanOrEqual(servers.flatMap(inference).length);
  expect(found.filter(({ state }) => state === 'reserved')).toEqual([]);
  expect((await windows()).map(({ reserved }) => reserved)).toEqual([0]);
  expect(ledger.health()).toMatchObject({ lateEnds: 0, lost: 0, waiting: 0 });
  expect((await verifyLedger(store)).findings).toEqual([]);
});
