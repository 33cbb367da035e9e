import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Simulator } from '../../simulators/index.ts';
import { ANYTHING, type ClientKey } from '../../src/core/client-key.ts';
import { NO_LIMITS } from '../../src/core/limits.ts';
import { type TestGateway, targetFor, until } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';
import { storeKeys } from '../support/stored-keys.ts';

const { simulator, gateway } = runningParts();
const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

const CLOUD_MODEL = 'openai/gpt-4o-mini';
const bearer = (text = '') => ({ headers: { authorization: `Bearer ${text}` } });
const ask = (model: string, more = {}) => ({ model, messages: [{ role: 'user', content: 'hello there' }], ...more });

/** A gateway in front of a local and a cloud server whose store holds these keys. */
async function withKeys(keys: Readonly<Record<string, Partial<ClientKey>>>, change = {}) {
  const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-keys-'));
  folders.push(dataDir);
  const texts = await storeKeys(dataDir, keys);
  const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }], replyTokens: 12 });
  const cloud = await simulator({ kind: 'openrouter', models: [{ id: CLOUD_MODEL }], replyTokens: 20 });
  const started = await gateway([targetFor(local), targetFor(cloud)], { dataDir, standIn: 'unknown', ...change });
  const chat = (id: string, model = 'qwen', more = {}) => started.chat(ask(model, more), bearer(texts[id]));
  return { local, cloud, started, texts, chat };
}

const generations = (server: Simulator) => server.log.filter(({ path }) => path.endsWith('/chat/completions'));

async function refusalOf(response: Response) {
  const { error } = await response.json();
  return [response.status, error.code, error.message];
}

const rowsOf = async (started: TestGateway, groups: string) => {
  const response = await fetch(`${started.url}/admin/usage?group_by=${groups}`, bearer(started.adminKey));
  return (await response.json()).rows;
};

describe('L-13 L-26 once there is a client key', () => {
  test('nobody gets in without one, on loopback too, and each request is someone’s on record', async () => {
    const { started, chat, texts } = await withKeys({ alice: { projectId: 'default' } });
    expect(await refusalOf(await started.chat(ask('qwen')))).toEqual([
      401,
      'invalid_api_key',
      expect.stringContaining('An API key is needed here.'),
    ]);
    expect((await started.chat(ask('qwen'), bearer('sk-anything'))).status).toBe(401);
    expect((await started.chat(ask('qwen'), bearer(started.adminKey))).status).toBe(401);
    expect((await chat('alice')).status).toBe(200);
    for (const name of ['x-api-key', 'api-key']) {
      expect((await started.chat(ask('qwen'), { headers: { [name]: texts['alice'] ?? '' } })).status).toBe(200);
    }
    expect(await rowsOf(started, 'key,project')).toMatchObject([{ key: 'alice', project: 'default', requests: 3 }]);
  });

  test('what is of all tenants opens with the admin key alone', async () => {
    const { started, texts } = await withKeys({ alice: {} });
    const metrics = async (key = '') => (await fetch(`${started.url}/metrics`, bearer(key))).status;
    expect([await metrics(texts['alice']), await metrics('wrong')]).toEqual([401, 401]);
    expect((await fetch(`${started.url}/metrics`)).status).toBe(401);
    expect(await metrics(started.adminKey)).toBe(200);
    const text = await (await fetch(`${started.url}/metrics`, bearer(started.adminKey))).text();
    expect(text).toContain('swarmrouter_refused_requests_total{reason="missing"} 1');
  });

  test('one that is revoked or has expired opens nothing, and is told so', async () => {
    const { chat } = await withKeys({ gone: { revokedAtMs: 1 }, old: { expiresAtMs: 1 } });
    expect(await refusalOf(await chat('gone'))).toEqual([401, expect.anything(), expect.stringContaining('revoked')]);
    expect(await refusalOf(await chat('old'))).toEqual([401, expect.anything(), expect.stringContaining('expired')]);
  });

  test('a restart keeps them, and what their calls cost', async () => {
    const { started, chat, texts } = await withKeys({ alice: {} });
    await (await chat('alice')).text();
    await started.gateway.stop(0);
    const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }] });
    const again = await gateway([targetFor(local)], { dataDir: started.dataDir });
    expect((await again.chat(ask('qwen'))).status).toBe(401);
    expect((await again.chat(ask('qwen'), bearer(texts['alice']))).status).toBe(200);
    expect(await rowsOf(again, 'key')).toMatchObject([{ key: 'alice', key_name: 'name of alice', requests: 2 }]);
  });
});

describe('what a key may use', () => {
  const policies = (change: Partial<typeof ANYTHING>) => ({ policies: { ...ANYTHING, ...change } });

  test('local targets only: the cloud never sees its requests, not even when nobody else can answer', async () => {
    const { local, cloud, chat } = await withKeys({ homely: policies({ places: ['local'] }) });
    expect((await chat('homely')).headers.get('x-swarmrouter-place')).toBe('local');
    await local.setFault({ kind: 'status', status: 500 });
    expect((await chat('homely')).status).toBeGreaterThanOrEqual(500);
    expect((await chat('homely', CLOUD_MODEL)).status).toBeGreaterThanOrEqual(400);
    expect(generations(cloud)).toEqual([]);
  });

  test('a key that may not use everything hears of no target by its name', async () => {
    const keys = { any: {}, narrow: policies({ models: ['*'], places: ['local'] }) };
    const { local, chat } = await withKeys(keys, { standIn: 'never' });
    const long = { messages: [{ role: 'user', content: 'word '.repeat(40_000) }] };
    const messages = async (id: string) => {
      const replies = [await chat(id, 'lmstudio/none'), await chat(id, 'lmstudio/qwen', long)];
      return (await Promise.all(replies.map(async (reply) => (await refusalOf(reply))[2]))).join(' ');
    };
    expect(await messages('any')).toContain('every target. lmstudio: the prompt of about 50004 tokens does not fit');
    const told = await messages('narrow');
    expect(told).toContain('every target. The prompt of about 50004 tokens does not fit');
    expect(told).not.toContain('lmstudio');
    await local.stop();
    const down = async (id: string) => (await refusalOf(await chat(id, 'lmstudio/qwen')))[2];
    // Who finds it gone is told of that, and is 503 too.
    await until('it is known to be down', async () => String(await down('any')).startsWith('No target'));
    expect(await down('any')).toBe('No target can serve this request now; not answering: lmstudio.');
    expect(await down('narrow')).toBe('No target can serve this request now.');
  });

  test('a place that it may not use is refused when it asks for it', async () => {
    const { started, texts } = await withKeys({ homely: policies({ places: ['local'] }) });
    const headers = { ...bearer(texts['homely']).headers, 'x-swarmrouter-place': 'cloud' };
    expect(await refusalOf(await started.chat(ask('qwen'), { headers }))).toEqual([
      403,
      'place_not_allowed',
      expect.stringContaining('Allowed: local.'),
    ]);
  });

  test('a place that it may not use is refused also where a model’s name leads there, in both directions', async () => {
    const { local, cloud, started, chat } = await withKeys(
      {
        homely: policies({ places: ['local'] }),
        cloudy: policies({ places: ['cloud'] }),
      },
      { standIn: 'never' },
    );
    const forbidden = (place: string) => [403, 'place_not_allowed', expect.stringContaining(`Allowed: ${place}.`)];
    for (const more of [{}, { stream: true }]) {
      expect(await refusalOf(await chat('homely', `openrouter/${CLOUD_MODEL}`, more))).toEqual(forbidden('local'));
      expect(await refusalOf(await chat('homely', CLOUD_MODEL, more))).toEqual(forbidden('local'));
      expect(await refusalOf(await chat('cloudy', 'lmstudio/qwen', more))).toEqual(forbidden('cloud'));
    }
    // Whether its server runs is another matter.
    await cloud.stop();
    expect(await refusalOf(await chat('homely', `openrouter/${CLOUD_MODEL}`))).toEqual(forbidden('local'));
    expect((await chat('homely', 'lmstudio/no-such-model')).status).toBe(404);
    await local.setFault({ kind: 'refuse' });
    await until('it is down', async () => (await chat('homely', 'qwen')).status === 503);
    const audit = await fetch(`${started.url}/admin/audit?action=policy.refuse`, bearer(started.adminKey));
    const { entries } = await audit.json();
    expect(entries[0]).toMatchObject({ subject: 'key:homely', after: { reason: 'place_not_allowed' } });
  });

  test('a model that nobody has is missing, not forbidden, also where others may not stand in for it', async () => {
    const { chat } = await withKeys(
      {
        any: {},
        listed: policies({ models: ['gpt-4o', 'lmstudio/none'] }),
        homely: policies({ models: ['gpt-4o'], places: ['local'] }),
        cloudy: policies({ models: ['gpt-4o'], places: ['cloud'] }),
      },
      { standIn: 'always' },
    );
    for (const id of ['listed', 'homely', 'cloudy']) {
      expect(await refusalOf(await chat(id, 'gpt-4o', {}))).toEqual([
        404,
        'model_not_found',
        expect.stringContaining('gpt-4o'),
      ]);
    }
    const strict = await withKeys({ any: {}, homely: policies({ places: ['local'] }) }, { standIn: 'never' });
    await strict.cloud.setFault({ kind: 'status', status: 404 });
    expect((await refusalOf(await strict.chat('any', 'lmstudio/none')))[0]).toBe(404);
    expect((await refusalOf(await strict.chat('homely', 'lmstudio/none')))[0]).toBe(404);
  });

  test('some models, by name, by pattern and by alias; lists show it no others', async () => {
    const modelAliases = new Map([
      ['fast', 'qwen'],
      ['big', CLOUD_MODEL],
    ]);
    const { started, chat, texts } = await withKeys({ narrow: policies({ models: ['qw*'] }) }, { modelAliases });
    expect((await chat('narrow', 'qwen')).status).toBe(200);
    expect((await chat('narrow', 'lmstudio/QWEN')).status).toBe(200);
    expect((await chat('narrow', 'fast')).status).toBe(200);
    for (const model of ['big', CLOUD_MODEL, `openrouter/${CLOUD_MODEL}`, '', 'auto']) {
      expect(await refusalOf(await chat('narrow', model))).toEqual([
        403,
        'model_not_allowed',
        expect.stringContaining('Allowed: qw*.'),
      ]);
    }
    const list = await (await fetch(`${started.url}/v1/models`, bearer(texts['narrow']))).json();
    expect(list.data.map(({ id }: { id: string }) => id).sort()).toEqual(['fast', 'qwen']);
    expect((await fetch(`${started.url}/v1/models/${CLOUD_MODEL}`, bearer(texts['narrow']))).status).toBe(404);
  });

  test('a pattern for models stands for no provider whose name begins so', async () => {
    const { chat, texts, started } = await withKeys({
      letters: policies({ models: ['lm*', 'open*'] }),
      provider: policies({ models: ['lmstudio/*'] }),
    });
    for (const model of ['lmstudio/qwen', `openrouter/google/gemma-3`, 'openrouter/auto', 'lmstudio/']) {
      expect((await refusalOf(await chat('letters', model)))[1]).toBe('model_not_allowed');
    }
    expect((await chat('letters', CLOUD_MODEL)).status).toBe(200);
    for (const model of ['lmstudio/qwen', 'lmstudio/auto']) expect((await chat('provider', model)).status).toBe(200);
    const list = await (await fetch(`${started.url}/v1/models`, bearer(texts['letters']))).json();
    expect(list.data.map(({ id }: { id: string }) => id)).toEqual([CLOUD_MODEL]);
  });
});

describe('how much a key may use', () => {
  test('requests a minute: the limit is told with every answer, and who is over it when to come back', async () => {
    const { chat, local } = await withKeys({ slow: { limits: { ...NO_LIMITS, rpm: 2 } } });
    const first = await chat('slow');
    expect(first.headers.get('x-ratelimit-limit-requests')).toBe('2');
    expect(first.headers.get('x-ratelimit-remaining-requests')).toBe('1');
    expect((await chat('slow', 'qwen', { stream: true })).status).toBe(200);
    const third = await chat('slow');
    expect(Number(third.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await refusalOf(third)).toEqual([429, 'rate_limit_exceeded', expect.stringContaining('2')]);
    expect(generations(local)).toHaveLength(2);
  });

  test('requests at once: a place is free again when the answer has ended, failed or been left', async () => {
    const { chat, local, started, texts } = await withKeys({ one: { limits: { ...NO_LIMITS, concurrent: 1 } } });
    for (const _ of [1, 2, 3]) expect((await chat('one')).status).toBe(200);
    await local.setFault({ kind: 'status', status: 400 });
    expect((await chat('one')).status).toBe(400);
    await local.setFault(null);
    local.setBehaviour({ tokensPerSecond: 20, replyTokens: 1_000 });
    const leave = new AbortController();
    const left = await started.chat(ask('qwen', { stream: true }), { ...bearer(texts['one']), signal: leave.signal });
    expect((await chat('one')).status).toBe(429);
    leave.abort();
    await left.text().catch(() => undefined);
    local.setBehaviour({ tokensPerSecond: Number.POSITIVE_INFINITY, replyTokens: 12 });
    await until('its place is free', async () => (await chat('one')).status === 200);
  });

  test('tokens a minute: what was used counts, not what was expected', async () => {
    const { chat } = await withKeys({ small: { limits: { ...NO_LIMITS, tpm: 2_000 } } });
    for (let n = 0; n < 4; n++) expect((await chat('small')).status).toBe(200);
    expect((await chat('small', 'qwen', { max_tokens: 5_000 })).status).toBe(429);
  });

  test('a hard budget is kept to before the call is made; a soft one refuses nothing', async () => {
    const budget = { unit: 'tokens', limit: 200, window: 'day' } as const;
    const { chat, local } = await withKeys({
      hard: { budgets: [{ ...budget, hard: true }] },
      soft: { budgets: [{ ...budget, limit: 1, hard: false }] },
    });
    expect((await chat('hard', 'qwen', { max_tokens: 20 })).status).toBe(200);
    const made = generations(local).length;
    expect(await refusalOf(await chat('hard', 'qwen', { max_tokens: 5_000 }))).toEqual([
      429,
      'insufficient_quota',
      expect.stringContaining('200'),
    ]);
    expect(generations(local)).toHaveLength(made);
    for (const _ of [1, 2]) expect((await chat('soft')).status).toBe(200);
  });
});
