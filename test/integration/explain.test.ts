import { describe, expect, test } from 'bun:test';
import { Secret } from '../../src/core/secret.ts';
import { type TestGateway, targetFor } from '../support/gateway.ts';
import { inference, runningParts, servedBy } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const MODEL = 'qwen2.5-7b';
const CLOUD_MODEL = 'openai/gpt-4o-mini';
const CHAT = { model: MODEL, messages: [{ role: 'user', content: 'private words' }] };

type Started = Pick<TestGateway, 'url' | 'adminKey'>;
type Headers = Record<string, string>;

function admin({ url, adminKey }: Started, path: string, init: RequestInit & { headers?: Headers } = {}) {
  return fetch(url + path, { ...init, headers: { authorization: `Bearer ${adminKey}`, ...init.headers } });
}

function explain(started: Started, body: unknown, headers: Headers = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return admin(started, '/admin/explain', {
    method: 'POST',
    body: text,
    headers: { 'content-type': 'application/json', ...headers },
  });
}

/** Two local servers, one of them without the model, and a cloud. */
async function fleet(change: Parameters<typeof gateway>[1] = {}) {
  const studio = await simulator({ kind: 'lm-studio', models: [{ id: MODEL }] });
  const ollama = await simulator({ kind: 'ollama', models: [{ id: 'embedder', kind: 'embedding' }] });
  const cloud = await simulator({ kind: 'openrouter', models: [{ id: CLOUD_MODEL }] });
  const key = new Secret('sk-canary-key');
  const targets = [targetFor(studio), targetFor(ollama), targetFor(cloud, { defaultModel: CLOUD_MODEL, apiKey: key })];
  return { studio, ollama, cloud, ...(await gateway(targets, { probeIntervalMs: 60_000, ...change })) };
}

const named = (items: readonly { target: string }[]): string[] => items.map(({ target }) => target);

describe('POST /admin/explain', () => {
  test('names every target as a step or with a reason, sends nothing and changes nothing', async () => {
    const started = await fleet();
    const status = async () => {
      const { uptime_seconds, ...rest } = await (await admin(started, '/admin/status')).json();
      return rest;
    };
    const before = await status();
    const reply = await explain(started, CHAT);
    expect(reply.status).toBe(200);
    const plan = await reply.json();
    expect(plan).toMatchObject({ model: MODEL, strategy: 'local-first' });
    expect(plan).not.toHaveProperty('no_route');
    expect(plan.steps[0]).toEqual({
      target: 'lmstudio',
      place: 'local',
      model: MODEL,
      seconds: plan.steps[0].seconds,
      first_token_seconds: plan.steps[0].first_token_seconds,
      terms: plan.steps[0].terms,
      cached_tokens_estimate: plan.steps[0].cached_tokens_estimate,
      price_usd: plan.steps[0].price_usd,
      measured: false,
      waits: false,
      reason: expect.stringContaining('local'),
    });
    expect([...named(plan.steps), ...named(plan.left_out)].toSorted()).toEqual(['lmstudio', 'ollama', 'openrouter']);
    for (const { reason } of plan.left_out) expect(reason).not.toBe('');
    for (const server of [started.studio, started.ollama, started.cloud]) expect(inference(server)).toEqual([]);
    expect(started.outcomes).toEqual([]);
    expect(await status()).toEqual(before);
    const kept = await (await admin(started, '/admin/decisions')).json();
    expect(kept.decisions).toEqual([]);
  });

  test('says what a request then does: the first step answers it', async () => {
    const started = await fleet();
    const plan = await (await explain(started, CHAT)).json();
    const reply = await started.chat(CHAT);
    expect(servedBy(reply)).toBe(plan.steps[0].target);
    await reply.text();
  });

  test('the headers of a request count as they do on /v1', async () => {
    const started = await fleet();
    const fenced = await (await explain(started, CHAT, { 'x-swarmrouter-place': 'cloud' })).json();
    expect(named(fenced.steps)).toEqual(['openrouter']);
    expect(named(fenced.left_out).toSorted()).toEqual(['lmstudio', 'ollama']);
    const wrong = await explain(started, CHAT, { 'x-swarmrouter-place': 'moon' });
    expect([wrong.status, (await wrong.json()).error.param]).toEqual([400, 'x-swarmrouter-place']);
  });

  test('when nobody could serve it, says what the client would be told, with a reason for each target', async () => {
    const started = await fleet();
    const body = { ...CHAT, model: 'no-such-model' };
    const strict = { 'x-swarmrouter-strict-model': 'true', 'x-swarmrouter-place': 'local' };
    const reply = await explain(started, body, strict);
    expect(reply.status).toBe(200);
    const plan = await reply.json();
    const refused = await started.chat(body, { headers: strict });
    const { error } = await refused.json();
    expect(plan.steps).toEqual([]);
    expect(plan.no_route).toEqual({ status: refused.status, code: error.code, message: error.message });
    expect(named(plan.left_out).toSorted()).toEqual(['lmstudio', 'ollama', 'openrouter']);
  });

  test('needs the admin key', async () => {
    const { url } = await fleet();
    for (const path of ['/admin/explain', '/admin/decisions', '/admin/decisions/x']) {
      const method = path === '/admin/explain' ? 'POST' : 'GET';
      const reply = await fetch(url + path, { method });
      expect([reply.status, (await reply.json()).error.code]).toEqual([401, 'missing_admin_key']);
    }
  });

  for (const [what, body] of [
    ['an empty one', ''],
    ['broken JSON', '{"messages": ['],
    ['no messages', '{"model": "auto"}'],
    ['a wrong role', '{"messages": [{"role": "king", "content": "hi"}]}'],
    ['a wrong stream', '{"messages": [{"role": "user", "content": "hi"}], "stream": "yes"}'],
  ] as const) {
    test(`refuses a bad body in the words of /v1: ${what}`, async () => {
      const started = await fleet();
      const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body };
      const [here, there] = [await explain(started, body), await fetch(`${started.url}/v1/chat/completions`, init)];
      expect([here.status, await here.json()]).toEqual([400, await there.json()]);
    });
  }

  test('refuses a form, and a body over the limit of /v1', async () => {
    const started = await fleet({ maxBodyBytes: 200 });
    const form = await explain(started, CHAT, { 'content-type': 'text/plain' });
    expect([form.status, (await form.json()).error.code]).toEqual([415, 'unsupported_content_type']);
    const large = await explain(started, { ...CHAT, user: 'x'.repeat(300) });
    expect([large.status, (await large.json()).error.code]).toEqual([413, 'request_too_large']);
  });
});

describe('GET /admin/decisions', () => {
  test('a served request is found by its x-request-id, without a word of it', async () => {
    const started = await fleet();
    const reply = await started.chat(CHAT, { headers: { 'x-request-id': 'my-request' } });
    await reply.text();
    const text = await (await admin(started, `/admin/decisions/${reply.headers.get('x-request-id')}`)).text();
    const decision = JSON.parse(text);
    expect(decision).toMatchObject({
      id: 'my-request',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      outcome: 'served',
      status: 200,
      code: null,
      model_asked: MODEL,
      model: MODEL,
      target: 'lmstudio',
      place: 'local',
      prompt_tokens: expect.any(Number),
      completion_tokens: expect.any(Number),
      first_content_ms: expect.any(Number),
      steps_total: decision.steps.length,
      left_out_total: decision.left_out.length,
      attempts: [{ target: 'lmstudio', model: MODEL, failure: null }],
    });
    expect(named([...decision.steps, ...decision.left_out]).toSorted()).toEqual(['lmstudio', 'ollama', 'openrouter']);
    expect(text).not.toMatch(/private words|canary/);
  });

  test('a failed-over request shows both attempts, and the failure of the first', async () => {
    const started = await fleet();
    await started.studio.setFault({ kind: 'status', status: 500 });
    await (await started.chat(CHAT, { headers: { 'x-request-id': 'moved-on' } })).text();
    const decision = await (await admin(started, '/admin/decisions/moved-on')).json();
    expect(decision).toMatchObject({ outcome: 'served', target: 'openrouter', place: 'cloud', attempts_total: 2 });
    expect(decision.attempts).toMatchObject([
      { target: 'lmstudio', failure: 'failed', status: 500, message: expect.any(String) },
      { target: 'openrouter', failure: null, message: null },
    ]);
  });

  test('a refused request is kept with the reasons', async () => {
    const started = await fleet();
    const headers = { 'x-swarmrouter-strict-model': 'true', 'x-swarmrouter-place': 'local', 'x-request-id': 'refused' };
    const reply = await started.chat({ ...CHAT, model: 'no-such-model' }, { headers });
    const { error } = await reply.json();
    const decision = await (await admin(started, '/admin/decisions/refused')).json();
    expect(decision).toMatchObject({ outcome: 'refused', status: reply.status, code: error.code, target: null });
    expect([decision.steps, decision.attempts]).toEqual([[], []]);
    expect(named(decision.left_out).toSorted()).toEqual(['lmstudio', 'ollama', 'openrouter']);
  });

  test('lists the newest first, bounded by the setting, and filtered as asked', async () => {
    const started = await fleet({ decisions: 3 });
    for (const id of ['r1', 'r2', 'r3', 'r4']) {
      const headers = { 'x-request-id': id, ...(id === 'r3' ? { 'x-swarmrouter-place': 'cloud' } : {}) };
      await (await started.chat(CHAT, { headers })).text();
    }
    const list = async (query: string) => {
      const { capacity, decisions } = await (await admin(started, `/admin/decisions${query}`)).json();
      expect(capacity).toBe(3);
      return decisions.map(({ id }: { id: string }) => id);
    };
    expect(await list('')).toEqual(['r4', 'r3', 'r2']);
    expect(await list('?limit=1')).toEqual(['r4']);
    expect(await list('?target=openrouter')).toEqual(['r3']);
    expect(await list(`?model=${encodeURIComponent(CLOUD_MODEL)}`)).toEqual(['r3']);
    expect(await list('?since=2100-01-01T00:00:00Z')).toEqual([]);
    const gone = await admin(started, '/admin/decisions/r1');
    expect([gone.status, (await gone.json()).error]).toMatchObject([
      404,
      { code: 'decision_not_found', message: expect.stringContaining('"r1"') },
    ]);
  });

  test('a wrong parameter is refused by name, with what is allowed', async () => {
    const started = await fleet();
    for (const [query, words] of [
      ['limit=0', '"limit" is "0": it should be a whole number from 1 to 1000'],
      ['limit=many', '"limit" is "many"'],
      ['limit=1001', '"limit" is "1001"'],
      ['since=yesterday', '"since" is "yesterday": it should be a time such as'],
      ['targt=a', 'there is no parameter "targt"'],
    ]) {
      const reply = await admin(started, `/admin/decisions?${query}`);
      const { error } = await reply.json();
      expect([reply.status, error.code, error.param]).toEqual([400, 'invalid_query', query?.split('=')[0]]);
      expect(error.message).toContain(words);
    }
  });

  test('with SWARMROUTER_DECISIONS at 0 nothing is kept, and the 404 says so', async () => {
    const started = await fleet({ decisions: 0 });
    await (await started.chat(CHAT, { headers: { 'x-request-id': 'r1' } })).text();
    const list = await (await admin(started, '/admin/decisions')).json();
    expect(list).toEqual({ capacity: 0, decisions: [] });
    const { error } = await (await admin(started, '/admin/decisions/r1')).json();
    expect(error.message).toContain('SWARMROUTER_DECISIONS');
  });
});
