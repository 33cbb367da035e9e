import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Simulator, SimulatorKind } from '../../simulators/index.ts';
import type { Target } from '../../src/core/target.ts';
import { admin, bearer } from '../support/admin-client.ts';
import { wholeReply } from '../support/chat-server.ts';
import { readEvents, type TestGateway, targetFor, until } from '../support/gateway.ts';
import { inference, runningParts } from '../support/running.ts';

const { simulator, chatServer, gateway } = runningParts();
const MODEL = 'house-70b';
const NANO = 1e9;
/** USD for a million tokens. */
const RATES = { input_usd_per_mtok: 1, output_usd_per_mtok: 10 };
const SET_ASIDE = 4_096;

const say = (more: object = {}) => ({ model: MODEL, messages: [{ role: 'user', content: 'one two three' }], ...more });

/** In front of these targets, with a key that has this budget, and a price for the model. */
async function withBudget(targets: readonly Target[], budget: object, change: object = {}) {
  const on = await gateway(targets, { standIn: 'never', ...change });
  await admin(on, 'POST', 'prices', { model: MODEL, ...RATES });
  const made = await admin(on, 'POST', 'keys', { name: 'ann', budget: { window: 'month', hard: true, ...budget } });
  expect(made.status).toBe(201);
  const headers = bearer(made.body.key);
  return {
    on,
    ask: (more: object = {}) => on.chat(say(more), { headers }),
    used: () => usedOf(on, made.body.id),
  };
}

/** Spent and set aside, in the unit of its only budget: USD as nano-USD. */
async function usedOf(on: TestGateway, key: string): Promise<{ spent: number; reserved: number }> {
  const [budget] = (await admin(on, 'GET', `keys/${key}`)).body.budgets;
  const usd = budget.spent_usd !== undefined;
  const of = (name: string) => (usd ? Math.round(budget[`${name}_usd`] * NANO) : budget[`${name}_tokens`]);
  return { spent: of('spent'), reserved: of('reserved') };
}

const cloudOf = (server: Simulator, change: object = {}) => targetFor(server, { place: 'cloud', ...change });
const sent = (server: Simulator) => inference(server).map(({ body }) => body as Record<string, unknown>);
const limitsOf = ({ max_tokens, max_completion_tokens, n_predict }: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries({ max_tokens, max_completion_tokens, n_predict }).filter(([, value]) => value !== undefined),
  );
const finish = (reply: { choices: { finish_reason: string }[] }) => reply.choices[0]?.finish_reason;

describe('an answer whose length the client does not limit', () => {
  test('gets no more than was set aside for it, ends with `length`, and its reply says so', async () => {
    const server = await simulator({ kind: 'openai-compatible', models: [{ id: MODEL }], replyTokens: 9_000 });
    const { ask, used } = await withBudget([cloudOf(server)], { limit_usd: 1 });
    const whole = await ask();
    expect(whole.headers.get('x-swarmrouter-answer-limit')).toBe(String(SET_ASIDE));
    expect(finish(await whole.json())).toBe('length');
    expect(limitsOf(sent(server)[0] ?? {})).toEqual({ max_tokens: SET_ASIDE });
    expect(await used()).toEqual({ spent: 3 * 1_000 + SET_ASIDE * 10_000, reserved: 0 });
    const events = await readEvents(await ask({ stream: true }));
    expect(JSON.stringify(events)).toContain('"finish_reason":"length"');
    expect(events.at(-1)).toBe('[DONE]');
    // Its own limit, and no word about another.
    const limited = await ask({ max_tokens: 5 });
    expect([limited.headers.get('x-swarmrouter-answer-limit'), finish(await limited.json())]).toEqual([null, 'length']);
  });

  test('is as long as the operator says', async () => {
    const server = await simulator({ kind: 'openai-compatible', models: [{ id: MODEL }], replyTokens: 9_000 });
    const { ask } = await withBudget([cloudOf(server)], { limit_usd: 1 }, { budgetAnswerTokens: 500 });
    expect((await ask()).headers.get('x-swarmrouter-answer-limit')).toBe('500');
    expect(limitsOf(sent(server)[0] ?? {})).toEqual({ max_tokens: 500 });
  });

  test('gets what is left when that is less but of use, and the budget is never passed', async () => {
    const server = await simulator({ kind: 'openai-compatible', models: [{ id: MODEL }], replyTokens: 9_000 });
    const limit = 0.06;
    const { ask, used } = await withBudget([cloudOf(server)], { limit_usd: limit });
    const statuses: number[] = [];
    for (let n = 0; n < 4; n++) {
      const reply = await ask();
      statuses.push(reply.status);
      await reply.text();
      expect((await used()).spent).toBeLessThanOrEqual(limit * NANO);
    }
    expect(statuses).toEqual([200, 200, 429, 429]);
    const [first, second] = sent(server).map(({ max_tokens }) => max_tokens as number);
    expect(first).toBe(SET_ASIDE);
    expect(second).toBeGreaterThan(256);
    expect(second).toBeLessThan(SET_ASIDE);
    // Spent but for what a prompt of bytes was taken for.
    expect((await used()).spent).toBeGreaterThan(limit * NANO * 0.99);
  });

  test('passes no budget when a hundred come at once', async () => {
    const server = await simulator({ kind: 'openai-compatible', models: [{ id: MODEL }], replyTokens: 700 });
    const limit = 0.05;
    const { ask, used } = await withBudget([cloudOf(server)], { limit_usd: limit });
    const replies = await Promise.all(Array.from({ length: 100 }, (_, n) => ask({ stream: n % 2 === 0 })));
    await Promise.all(replies.map((reply) => reply.text()));
    const { spent, reserved } = await used();
    expect([spent <= limit * NANO, reserved]).toEqual([true, 0]);
    expect(replies.some(({ status }) => status === 200)).toBe(true);
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200, 429]));
  });

  const fields: [SimulatorKind, object, string][] = [
    ['lm-studio', {}, 'max_tokens'],
    ['ollama', {}, 'max_tokens'],
    ['llama-cpp', {}, 'max_tokens'],
    ['vllm', {}, 'max_tokens'],
    ['sglang', {}, 'max_tokens'],
    ['openrouter', {}, 'max_tokens'],
    ['openai-compatible', {}, 'max_tokens'],
    ['azure-openai', { deployments: { [MODEL]: MODEL } }, 'max_completion_tokens'],
  ];
  for (const [kind, change, field] of fields) {
    test(`is limited in the words of ${kind}, also against what its server would take for a limit`, async () => {
      const server = await simulator({ kind, models: [{ id: MODEL }], replyTokens: 9 });
      const { ask, used } = await withBudget([targetFor(server, change)], { limit_tokens: 50_000 });
      for (const more of [{}, { stream: true }, { max_tokens: -1 }, { max_tokens: null, n_predict: 1e6 }]) {
        const reply = await ask(more);
        expect([reply.status, await reply.text()]).toEqual([200, expect.any(String)]);
        expect(limitsOf(sent(server).at(-1) ?? {})).toEqual({ [field]: SET_ASIDE });
      }
      expect(await used()).toEqual({ spent: 4 * (3 + 9), reserved: 0 });
    });
  }

  test('has no limit where it costs nothing', async () => {
    const server = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }], replyTokens: 5_000 });
    const { ask } = await withBudget([targetFor(server)], { limit_usd: 1 });
    const reply = await ask({ model: 'qwen' });
    expect(reply.headers.get('x-swarmrouter-answer-limit')).toBeNull();
    expect(finish(await reply.json())).toBe('stop');
    expect(limitsOf(sent(server)[0] ?? {})).toEqual({});
  });
});

test('a refusal for want of a price names the shared budget, its limit and its reset, and counts no call', async () => {
  const server = await simulator({ kind: 'openai-compatible', models: [{ id: MODEL }] });
  const on = await gateway([cloudOf(server)], { standIn: 'never' });
  const key = (await admin(on, 'POST', 'keys', { name: 'ann', project: 'web' })).body.key;
  const budget = { scope: 'project', name: 'web', limit_usd: 5, window: 'month' };
  const { id } = (await admin(on, 'POST', 'budgets', budget)).body;
  const reply = await on.chat(say(), { headers: bearer(key) });
  expect(reply.status).toBe(429);
  expect((await reply.json()).error.message).toMatch(
    new RegExp(
      `^The hard budget of the project "web" \\(${id}\\) is 5 USD a month and resets at 20.*Z\\. No price is known`,
    ),
  );
  const metrics = await (await fetch(`${on.url}/metrics`, { headers: bearer(on.adminKey) })).text();
  expect(metrics).not.toMatch(/^swarmrouter_(attempts|errors)_total\{/m);
  expect(inference(server)).toEqual([]);
});

test('what a hard budget does not let through is named in a header of the answer, and in its log line', async () => {
  const wanted = { plugins: [{ id: 'web' }], service_tier: 'priority', provider: { order: ['dear'], zdr: true } };
  const server = await simulator({ kind: 'openrouter', models: [{ id: MODEL }], replyTokens: 9 });
  const { on, ask } = await withBudget([targetFor(server)], { limit_usd: 1 }, { logLevel: 'info' });
  for (const more of [wanted, { ...wanted, stream: true }]) {
    const reply = await ask(more);
    await reply.text();
    expect(reply.headers.get('x-swarmrouter-dropped-fields')).toBe('plugins,service_tier,provider.order');
    const { plugins, service_tier, provider } = sent(server).at(-1) ?? {};
    expect([plugins, service_tier]).toEqual([undefined, undefined]);
    expect(provider).toEqual({ zdr: true, max_price: expect.anything() });
  }
  expect((await ask()).headers.get('x-swarmrouter-dropped-fields')).toBeNull();
  const log = join(on.dataDir, 'log.jsonl');
  await until('a line of the log', () =>
    readFileSync(log, 'utf8').includes('"dropped_fields":["plugins","service_tier"'),
  );
});

test('an answer that several servers give one after the other is paid for part by part, and each part limited', async () => {
  const servers = [
    await simulator({ kind: 'vllm', models: [{ id: MODEL }], replyTokens: 400 }),
    await simulator({ kind: 'llama-cpp', models: [{ id: MODEL }], replyTokens: 400 }),
  ];
  const limit = 0.05;
  const targets = servers.map((server) => cloudOf(server));
  const { ask, used } = await withBudget(targets, { limit_usd: limit }, { streamRecovery: true });
  for (const server of servers) await server.faultNext(1, { kind: 'cut', afterChunks: 100 });
  // Whoever is second has no third to go on with it.
  await (await ask({ stream: true })).text();
  const bodies = servers.flatMap(sent);
  expect(bodies.length).toBe(2);
  for (const body of bodies) expect(body['max_tokens']).toBeGreaterThan(0);
  const { spent, reserved } = await used();
  expect([spent > 0, spent <= limit * NANO, reserved]).toEqual([true, true, 0]);
});

test('a call that another server answers in other words is limited there too', async () => {
  const broken = await simulator({ kind: 'azure-openai', models: [{ id: MODEL }] });
  const whole = await simulator({ kind: 'openai-compatible', models: [{ id: MODEL }] });
  const { ask } = await withBudget([targetFor(broken, { deployments: { [MODEL]: MODEL } }), cloudOf(whole)], {
    limit_usd: 1,
  });
  await broken.setFault({ kind: 'status', status: 500 });
  for (let n = 0; n < 2; n++) expect((await ask()).status).toBe(200);
  expect(limitsOf(sent(broken)[0] ?? {})).toEqual({ max_completion_tokens: SET_ASIDE });
  expect(limitsOf(sent(whole)[0] ?? {})).toEqual({ max_tokens: SET_ASIDE });
});

describe('whoever is refused is told', () => {
  const errorOf = async (reply: Response) => ({
    status: reply.status,
    retryAfter: reply.headers.get('retry-after'),
    shouldRetry: reply.headers.get('x-should-retry'),
    ...(await reply.json()).error,
  });

  test('which budget, its limit, what is used, what the call needs, when it resets, and what would fit', async () => {
    const server = await simulator({ kind: 'openai-compatible', models: [{ id: MODEL }], replyTokens: 9 });
    const { ask } = await withBudget([cloudOf(server)], { limit_usd: 0.01 });
    await (await ask({ max_tokens: 10 })).text();
    const refused = await errorOf(await ask({ max_tokens: 2_000 }));
    expect(refused).toMatchObject({ status: 429, type: 'insufficient_quota', code: 'insufficient_quota' });
    expect(refused.message).toMatch(
      /^The budget of the key "ann" is 0\.01 USD a month: 0\.000093 USD spent, and this request may need 0\.0201\d+ USD\. It will never be let in: it may need more than the whole budget\. With max_tokens of at most 98\d it fits now\. The budget resets at 20\d\d-\d\d-01T00:00:00\.000Z\.$/,
    );
    // Dearer than the whole budget: no waiting helps.
    expect([refused.retryAfter, refused.shouldRetry]).toEqual([null, 'false']);
    expect((await ask({ max_tokens: Number(/at most (\d+)/.exec(refused.message)?.[1]) })).status).toBe(200);
  });

  test('when the window ends, as a header too; and of calls that hold what is missing', async () => {
    const server = await simulator({ kind: 'openai-compatible', models: [{ id: MODEL }], replyTokens: 900 });
    const { ask } = await withBudget([cloudOf(server)], { limit_usd: 0.01, window: 'day' });
    await (await ask({ max_tokens: 900 })).text();
    const spent = await errorOf(await ask({ max_tokens: 900 }));
    expect(spent.message).toMatch(/USD a day: .* It resets at 20\d\d-\d\d-\d\dT00:00:00\.000Z\. With max_tokens/);
    const secondsLeft = 86_400 - ((Date.now() / 1000) % 86_400);
    expect(Math.abs(Number(spent.retryAfter) - secondsLeft)).toBeLessThan(60);

    await server.setFault({ kind: 'slow', extraMs: 1_500 });
    const other = await withBudget([cloudOf(server)], { limit_usd: 0.01 });
    const running = other.ask({ max_tokens: 900 });
    await until('it is set aside', async () => (await other.used()).reserved > 0);
    const held = await errorOf(await other.ask({ max_tokens: 900 }));
    expect(held.message).toMatch(/0 USD spent, 0\.009\d+ USD set aside for calls that run, and this request/);
    expect(held.retryAfter).toBe('1');
    expect((await running).status).toBe(200);
  });

  test('that the prompt alone is too dear', async () => {
    const server = await simulator({ kind: 'openai-compatible', models: [{ id: MODEL }] });
    const { ask } = await withBudget([cloudOf(server)], { limit_tokens: 50, window: 'total' });
    const refused = await errorOf(await ask());
    expect(refused.message).toContain('50 tokens in total: 0 tokens spent');
    expect(refused.message).toContain(
      'It will never be let in: it may need more than the whole budget. Shorten the prompt',
    );
  });
});

describe('what nobody could reckon before', () => {
  test('is not sent on: other models, searches, dearer tiers, tools of the provider', async () => {
    const server = await simulator({ kind: 'openrouter', models: [{ id: MODEL }] });
    const { ask } = await withBudget([targetFor(server)], { limit_usd: 1 });
    const own = { type: 'function', function: { name: 'f', parameters: {} } };
    const reply = await ask({
      ...{ models: ['openai/o3-pro'], route: 'fallback', preset: 'p', plugins: [{ id: 'web' }] },
      ...{ web_search_options: {}, service_tier: 'priority', tools: [own, { type: 'openrouter:web_search' }] },
      ...{ temperature: 0.5, provider: { zdr: true } },
    });
    expect(reply.status).toBe(200);
    const [body] = sent(server);
    for (const name of ['models', 'route', 'preset', 'plugins', 'web_search_options', 'service_tier']) {
      expect(body).not.toHaveProperty(name);
    }
    expect(body).toMatchObject({ tools: [own], temperature: 0.5, provider: { zdr: true } });
  });

  test('is not left to the client: which of OpenRouter’s providers answers, and so at what price', async () => {
    const server = await simulator({ kind: 'openrouter', models: [{ id: MODEL }] });
    const inUsd = await withBudget([targetFor(server)], { limit_usd: 1 });
    expect((await inUsd.ask({ provider: { order: ['dear'], allow_fallbacks: false } })).status).toBe(200);
    const max_price = { prompt: expect.closeTo(1, 6), completion: expect.closeTo(10, 6), request: 1e-9 };
    expect(sent(server)[0]?.['provider']).toEqual({ max_price });
    expect((await inUsd.ask()).status).toBe(200);
    expect(sent(server)[1]?.['provider']).toEqual({ max_price });
  });

  test('is not left to the client either: what the provider takes for a call and for a picture', async () => {
    const pricing = { prompt: '0.000001', completion: '0.00001', request: '0.002', image: '0.004' };
    const modalities = { input_modalities: ['text', 'image'], output_modalities: ['text'] };
    const usage = { prompt_tokens: 5, completion_tokens: 5, total_tokens: 10, cost: 0.01 };
    const server = await chatServer({
      models: [{ id: 'seer', context_length: 100_000, pricing, architecture: modalities }],
      reply: () => wholeReply('a cat', usage),
    });
    const target = targetFor({ kind: 'openrouter', baseUrl: server.baseUrl }, { place: 'cloud' });
    const { on, ask } = await withBudget([target], { limit_usd: 1 });
    const asked = (turn: number) => JSON.parse(server.asked[turn] ?? '{}').provider.max_price;
    const picture = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } };
    const shown = (count: number) => [{ role: 'user', content: Array.from({ length: count }, () => picture) }];
    const words = {
      prompt: expect.closeTo(1, 6),
      completion: expect.closeTo(10, 6),
      request: expect.closeTo(0.002, 6),
    };
    expect((await ask({ model: 'seer', max_tokens: 10 })).status).toBe(200);
    expect(asked(0)).toEqual(words);
    expect((await ask({ model: 'seer', max_tokens: 10, messages: shown(2) })).status).toBe(200);
    expect(asked(1)).toEqual({ ...words, image: expect.closeTo(0.004, 6) });
    const wish = { max_price: { image: 0.001, request: 9 } };
    expect((await ask({ model: 'seer', max_tokens: 10, messages: shown(1), provider: wish })).status).toBe(200);
    expect(asked(2)).toEqual({ ...words, image: 0.001 });
    // Of a price that the operator set, what a picture costs is the provider's word.
    await admin(on, 'POST', 'prices', { model: 'seer', input_usd_per_mtok: 2, output_usd_per_mtok: 20 });
    expect((await ask({ model: 'seer', max_tokens: 10, messages: shown(1) })).status).toBe(200);
    expect(asked(3)).toMatchObject({ prompt: expect.closeTo(2, 6), request: 1e-9, image: expect.closeTo(0.004, 6) });
  });

  test('is set aside in whole: the price of a call and of each picture, too', async () => {
    const pricing = { prompt: '0', completion: '0', request: '0.002', image: '0.004' };
    const server = await chatServer({
      models: [{ id: 'seer', context_length: 100_000, pricing }],
      reply: () => wholeReply('a cat', { prompt_tokens: 5, completion_tokens: 5, total_tokens: 10, cost: 0.01 }),
    });
    const target = targetFor({ kind: 'openrouter', baseUrl: server.baseUrl }, { place: 'cloud' });
    const { ask } = await withBudget([target], { limit_usd: 0.0139 });
    const picture = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } };
    const shown = (count: number) => ({
      ...{ model: 'seer', max_tokens: 10 },
      messages: [{ role: 'user', content: Array.from({ length: count }, () => picture) }],
    });
    // 0.002 for the call and 0.012 for three pictures.
    const refused = await ask(shown(3));
    expect([refused.status, (await refused.json()).error.code]).toEqual([429, 'insufficient_quota']);
    expect(server.asked).toEqual([]);
    expect((await ask(shown(2))).status).toBe(200);
  });

  test('is sent on for whoever has no hard budget and no list of models', async () => {
    const server = await simulator({ kind: 'openrouter', models: [{ id: MODEL }] });
    const on = await gateway([targetFor(server)]);
    const { body } = await admin(on, 'POST', 'keys', { name: 'free' });
    await on.chat(say({ plugins: [{ id: 'web' }], models: ['x'] }), { headers: bearer(body.key) });
    expect(sent(server)[0]).toHaveProperty('plugins');
    expect(sent(server)[0]).not.toHaveProperty('models');
  });

  test('is refused where the model’s name asks for it', async () => {
    const server = await simulator({ kind: 'openrouter', models: [{ id: `${MODEL}:online` }] });
    const { ask } = await withBudget([targetFor(server)], { limit_tokens: 100_000 });
    const refused = await ask({ model: `openrouter/${MODEL}:online` });
    expect([refused.status, await refused.text()]).toEqual([429, expect.stringContaining("without ':online'")]);
    expect(sent(server)).toEqual([]);
  });
});
