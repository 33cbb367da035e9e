import { afterEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import { createGateway } from '../../src/gateway.ts';
import { readEvents } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';

const { simulator } = runningParts();
const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const ADMIN_KEY = 'prices-admin-key-0123456789';
const CLOUD_MODEL = 'gpt-4o-mini';
const DEPLOYMENT = 'prod-chat';
const HOUSE_MODEL = 'house-70b';
const PRICE = { input_usd_per_mtok: 1.500000001, output_usd_per_mtok: '6.000000007' };

interface Tokens {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
}

/** Nano-USD, half up; rates in USD for a million tokens, nine places. */
function nanoUsd({ prompt_tokens, completion_tokens }: Tokens, input: number, output: number): number {
  const nano = (usd: number): bigint => BigInt(Math.round(usd * 1e9));
  const femto = BigInt(prompt_tokens) * nano(input) + BigInt(completion_tokens) * nano(output);
  return Number((femto + 500_000n) / 1_000_000n);
}

/** A local server, Azure (in the catalogue) and a provider that no catalogue knows, behind a gateway that keeps books. */
async function priced(yaml: object = {}, settings: Record<string, string> = {}) {
  const usage = { replyTokens: 21 };
  const servers = [
    await simulator({ kind: 'lm-studio', models: [{ id: 'qwen3-8b' }], ...usage }),
    await simulator({ kind: 'azure-openai', models: [{ id: DEPLOYMENT }], ...usage }),
    await simulator({ kind: 'openai-compatible', models: [{ id: HOUSE_MODEL }], ...usage }),
  ] as const;
  const [local, azure, house] = servers;
  const directory = mkdtempSync(join(tmpdir(), 'swarmrouter-prices-'));
  stops.push(() => rmSync(directory, { recursive: true, force: true }));
  const targets = [
    { name: 'mac', kind: 'lm-studio', url: local.baseUrl },
    {
      ...{ name: 'azure', kind: 'azure-openai', url: azure.baseUrl, api_key: 'azure-key-0123456789' },
      deployments: { [CLOUD_MODEL]: DEPLOYMENT },
    },
    { name: 'house', kind: 'openai-compatible', url: house.baseUrl, api_key: 'house-key-0123456789' },
  ];
  const write = (more: object) =>
    writeFileSync(join(directory, 'swarmrouter.yaml'), JSON.stringify({ targets, ...more }));
  write(yaml);
  const environment = {
    ...{ SWARMROUTER_PORT: '0', SWARMROUTER_ADMIN_KEY: ADMIN_KEY, SWARMROUTER_USAGE: 'true' },
    ...{ SWARMROUTER_DATA_DIR: join(directory, 'data'), LMSTUDIO_ENABLED: 'false' },
    ...settings,
  };
  const load = (port?: number) =>
    loadConfig({ flags: {}, environment, directory, ...(port !== undefined && { listeningOn: port }) });
  const start = async () => {
    const loaded = load();
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    const gateway = await createGateway(loaded.config, { load, logTo: join(directory, 'log.jsonl') });
    stops.push(() => gateway.stop(0));
    await gateway.probed(2_000);
    const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' };
    const admin = (method: string, path: string, body?: unknown) =>
      fetch(gateway.url + path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
    return { gateway, admin, write, books: booksOf(gateway.url, admin) };
  };
  return { start, write };
}

type Admin = (method: string, path: string, body?: unknown) => Promise<Response>;

function booksOf(url: string, admin: Admin) {
  const chat = async (model: string, stream: boolean): Promise<Tokens> => {
    const body = { model, stream, messages: [{ role: 'user', content: 'what does this cost, then?' }] };
    const options = stream ? { stream_options: { include_usage: true } } : {};
    const reply = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...body, ...options }),
    });
    expect(reply.status).toBe(200);
    if (!stream) return ((await reply.json()) as { usage: Tokens }).usage;
    const events = (await readEvents(reply)) as { usage?: Tokens }[];
    const last = events.findLast((event) => event.usage);
    if (last?.usage === undefined) throw new Error('the stream reported no usage');
    return last.usage;
  };
  const lastRow = async () => {
    const text = await (await admin('GET', '/admin/usage/export?format=json')).text();
    const rows = text.trimEnd().split('\n');
    const { cost_nano_usd, cost_source } = JSON.parse(rows.at(-1) ?? '{}');
    return { nanoUsd: cost_nano_usd as number | null, source: cost_source as string };
  };
  /** What a call costs, whole and streamed alike. */
  return async (model: string) => {
    const tokens = await chat(model, false);
    const whole = await lastRow();
    expect(await chat(model, true)).toEqual(tokens);
    expect(await lastRow()).toEqual(whole);
    return { ...whole, tokens };
  };
}

const codeOf = async (reply: Response) => [reply.status, (await reply.json()).error.code];

interface TargetPrice {
  readonly target: string;
  readonly source: string;
  readonly set_by: string | null;
  readonly price: { readonly input_usd_per_mtok: number } | null;
}
const atTargets = async (admin: Admin, model: string) => {
  const { targets } = await (await admin('GET', `/admin/prices?model=${model}`)).json();
  return targets.map(({ target, source, set_by, price }: TargetPrice) => [
    ...[target, source, set_by, price?.input_usd_per_mtok ?? null],
  ]);
};

describe('a price that the operator sets', () => {
  test('counts for the next call, local and cloud, to the nano-USD; without it the others count again', async () => {
    const { admin, books } = await (await priced()).start();
    const before = await books(`azure/${CLOUD_MODEL}`);
    expect(before).toMatchObject({ source: 'catalogue', nanoUsd: nanoUsd(before.tokens, 0.15, 0.6) });
    expect(await books('mac/qwen3-8b')).toMatchObject({ source: 'local-rate', nanoUsd: 0 });

    for (const model of [CLOUD_MODEL, 'QWEN3-8b']) {
      const reply = await admin('POST', '/admin/prices', { model, ...PRICE });
      expect([reply.status, (await reply.json()).price]).toMatchObject([201, { model, provider: null, set_by: 'api' }]);
    }
    for (const model of [`azure/${CLOUD_MODEL}`, 'mac/qwen3-8b']) {
      const set = await books(model);
      expect(set).toMatchObject({ source: 'override', nanoUsd: nanoUsd(set.tokens, 1.500000001, 6.000000007) });
    }
    const again = await admin('POST', '/admin/prices', {
      ...PRICE,
      model: CLOUD_MODEL.toUpperCase(),
      input_usd_per_mtok: 3,
    });
    expect(again.status).toBe(200);
    const dearer = await books(`azure/${CLOUD_MODEL}`);
    expect(dearer.nanoUsd).toBe(nanoUsd(dearer.tokens, 3, 6.000000007));

    const { entries } = await (await admin('GET', '/admin/audit')).json();
    expect(entries).toMatchObject([
      { action: 'price.replace', subject: `price:*/${CLOUD_MODEL}`, before: { input_usd_per_mtok: 1.500000001 } },
      { action: 'price.add', subject: 'price:*/qwen3-8b', actor: { kind: 'admin' }, address: '127.0.0.1' },
      { action: 'price.add', before: null, after: { model: CLOUD_MODEL, input_usd_per_mtok: 1.500000001 } },
    ]);

    for (const model of [CLOUD_MODEL, 'qwen3-8b']) {
      expect((await admin('DELETE', `/admin/prices?model=${model}`)).status).toBe(200);
      expect(await codeOf(await admin('DELETE', `/admin/prices?model=${model}`))).toEqual([404, 'price_not_set']);
    }
    expect(await books(`azure/${CLOUD_MODEL}`)).toMatchObject({ source: 'catalogue', nanoUsd: before.nanoUsd });
    expect(await books('mac/qwen3-8b')).toMatchObject({ source: 'local-rate', nanoUsd: 0 });
  });

  test('is unknown where nobody knows one, and visibly so; one for a target is for that target', async () => {
    const { admin, books } = await (await priced()).start();
    expect(await books(`house/${HOUSE_MODEL}`)).toMatchObject({ source: 'unknown', nanoUsd: null });
    const { rows, total } = await (await admin('GET', '/admin/usage')).json();
    const costs = (list: { cost_usd: number | null; unpriced: number }[]) =>
      list.map(({ cost_usd, unpriced }) => [cost_usd, unpriced]);
    expect(costs(rows)).toEqual([[null, 2]]);
    expect(total).toMatchObject({ cost_usd: 0, unpriced: 2 });
    expect(await atTargets(admin, HOUSE_MODEL)).toEqual([
      ['mac', 'local-rate', null, 0],
      ['azure', 'unknown', null, null],
      ['house', 'unknown', null, null],
    ]);
    const nobody = await admin('POST', '/admin/prices', { model: HOUSE_MODEL, provider: 'hause', ...PRICE });
    expect((await nobody.json()).warnings).toEqual([expect.stringContaining('"hause"')]);
    const somebody = await admin('POST', '/admin/prices', { model: HOUSE_MODEL, provider: 'House', ...PRICE });
    expect((await somebody.json()).warnings).toEqual([]);
    expect(await atTargets(admin, `house/${HOUSE_MODEL}`)).toEqual([['house', 'override', 'api', 1.500000001]]);
    expect((await atTargets(admin, HOUSE_MODEL)).map(([target, source]: unknown[]) => [target, source])).toEqual([
      ['mac', 'local-rate'],
      ['azure', 'unknown'],
      ['house', 'override'],
    ]);
    expect(await books(`house/${HOUSE_MODEL}`)).toMatchObject({ source: 'override' });
    expect(await codeOf(await admin('DELETE', `/admin/prices?model=${HOUSE_MODEL}`))).toEqual([404, 'price_not_set']);
    expect((await admin('DELETE', `/admin/prices?model=${HOUSE_MODEL}&provider=house`)).status).toBe(200);
    expect(await books(`house/${HOUSE_MODEL}`)).toMatchObject({ source: 'unknown', nanoUsd: null });
  });

  test('is kept over a restart, and counts before the file, which counts before the catalogue', async () => {
    const inFile = { model: CLOUD_MODEL, provider: 'azure', input_usd_per_mtok: 2, output_usd_per_mtok: 2 };
    const parts = await priced({ prices: [inFile] });
    const first = await parts.start();
    expect(await atTargets(first.admin, CLOUD_MODEL)).toContainEqual(['azure', 'override', 'yaml', 2]);
    expect(await usdPerMillion(first, `azure/${CLOUD_MODEL}`)).toEqual(['override', 2]);
    await first.admin('POST', '/admin/prices', { model: CLOUD_MODEL, input_usd_per_mtok: 4, output_usd_per_mtok: 4 });
    await first.admin('POST', '/admin/prices', { ...inFile, input_usd_per_mtok: 5, output_usd_per_mtok: 5 });
    await first.gateway.stop(0);

    const second = await parts.start();
    const { prices } = await (await second.admin('GET', '/admin/prices')).json();
    expect(prices).toMatchObject([
      { provider: null, set_by: 'api', counts: true, input_usd_per_mtok: 4 },
      { provider: 'azure', set_by: 'api', counts: true, input_usd_per_mtok: 5 },
      { provider: 'azure', set_by: 'yaml', counts: false, input_usd_per_mtok: 2, updated_at: null },
    ]);
    expect(await usdPerMillion(second, `azure/${CLOUD_MODEL}`)).toEqual(['override', 5]);
    await second.admin('DELETE', `/admin/prices?model=${CLOUD_MODEL}&provider=azure`);
    expect(await usdPerMillion(second, `azure/${CLOUD_MODEL}`)).toEqual(['override', 4]);
    await second.admin('DELETE', `/admin/prices?model=${CLOUD_MODEL}`);
    expect(await usdPerMillion(second, `azure/${CLOUD_MODEL}`)).toEqual(['override', 2]);
    const refused = await second.admin('DELETE', `/admin/prices?model=${CLOUD_MODEL}&provider=azure`);
    expect((await refused.json()).error.message).toContain('YAML file');

    second.write({ prices: [{ ...inFile, input_usd_per_mtok: 7, output_usd_per_mtok: 7 }] });
    expect(second.gateway.reload()).toMatchObject({ ok: true, changed: ['prices'] });
    expect(await usdPerMillion(second, `azure/${CLOUD_MODEL}`)).toEqual(['override', 7]);
    second.write({ prices: [{ ...inFile, input_usd_per_mtok: 'dear' }, { model: '' }] });
    const refusal = second.gateway.reload();
    expect(refusal.ok ? [] : refusal.problems.map(({ name }) => name)).toEqual([
      ...['prices[0].input_usd_per_mtok', 'prices[1].model'],
      ...['prices[1].input_usd_per_mtok', 'prices[1].output_usd_per_mtok'],
    ]);
    expect(await usdPerMillion(second, `azure/${CLOUD_MODEL}`)).toEqual(['override', 7]);
  });

  test('has all that is wrong with it named at once, and nothing is changed', async () => {
    const { admin } = await (await priced()).start();
    const wrong = { model: 'm', input_usd_per_mtok: -1, cached_usd_per_mtok: 1, tiers: [{ above_prompt_tokens: 0.5 }] };
    const reply = await admin('POST', '/admin/prices', wrong);
    const { error } = await reply.json();
    expect([reply.status, error.code, error.param]).toEqual([400, 'invalid_price', 'cached_usd_per_mtok']);
    for (const text of [
      'did you mean cached_input_usd_per_mtok',
      'input_usd_per_mtok is "-1"',
      'output_usd_per_mtok: it is missing',
      'tiers[0].above_prompt_tokens is "0.5"',
      'Nothing was changed',
    ]) {
      expect(error.message).toContain(text);
    }
    expect(await codeOf(await admin('POST', '/admin/prices', ['m']))).toEqual([400, 'invalid_price']);
    expect(await codeOf(await admin('DELETE', '/admin/prices?provider=azure'))).toEqual([400, 'invalid_query']);
    expect(await codeOf(await admin('GET', '/admin/prices?modell=x'))).toEqual([400, 'invalid_query']);
    expect((await (await admin('GET', '/admin/prices')).json()).prices).toEqual([]);
  });

  test('is kept where no usage is, and the reply says that nothing is priced', async () => {
    const { admin } = await (await priced({}, { SWARMROUTER_USAGE: 'false' })).start();
    const reply = await admin('POST', '/admin/prices', { model: 'm', ...PRICE });
    expect([reply.status, await reply.json()]).toMatchObject([201, { usage_kept: false }]);
  });
});

describe('what answers of own servers cost', () => {
  test('is the electricity of the time that they took, or the rate of their server', async () => {
    const rates = [{ provider: 'house', input_usd_per_mtok: 1, output_usd_per_mtok: 1 }];
    const power = { SWARMROUTER_LOCAL_WATTS: '100000', SWARMROUTER_KWH_USD: '36' };
    const { admin, write, gateway } = await (await priced({ local_rates: rates }, power)).start();
    expect(await atTargets(admin, 'qwen3-8b')).toContainEqual(['mac', 'local-rate', null, 0]);
    const { targets } = await (await admin('GET', '/admin/prices?model=mac/qwen3-8b')).json();
    // 100 kW at 36 USD a kilowatt-hour.
    expect(targets[0].price.usd_per_hour).toBe(3_600);
    const chat = { model: 'mac/qwen3-8b', messages: [{ role: 'user', content: 'hi' }] };
    const beganMs = performance.now();
    await (await fetch(`${gateway.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(chat) })).text();
    const atMostUsd = (performance.now() - beganMs + 1) / 1_000;
    const { total } = await (await admin('GET', '/admin/usage')).json();
    expect(total.cost_usd).toBeGreaterThan(0);
    expect(total.cost_usd).toBeLessThanOrEqual(atMostUsd);

    const row = await (await admin('GET', '/admin/usage/export?format=json')).json();
    expect(row.reserved_nano_usd).toBeGreaterThan(row.cost_nano_usd);

    write({ local_rates: [{ provider: 'mac', input_usd_per_mtok: 2, output_usd_per_mtok: 3 }] });
    expect(gateway.reload()).toMatchObject({ ok: true, changed: ['local_rates'] });
    expect(await atTargets(admin, 'qwen3-8b')).toContainEqual(['mac', 'local-rate', null, 2]);
  });
});

/** Source and USD for a million tokens, where both sides cost the same. */
async function usdPerMillion({ books }: { books: ReturnType<typeof booksOf> }, model: string) {
  const { nanoUsd: cost, source, tokens } = await books(model);
  return [
    source,
    Number(((cost ?? Number.NaN) / (tokens.prompt_tokens + tokens.completion_tokens) / 1_000).toFixed(6)),
  ];
}
