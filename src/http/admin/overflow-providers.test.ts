import { describe, expect, test } from 'bun:test';
import type { AuditEvent } from '../../core/audit.ts';
import { UpstreamError } from '../../core/failure.ts';
import { ADMIN_KEY, adminPorts, providerFixture, someTarget } from './admin-fixture.ts';
import { createAdminApp } from './app.ts';
import { createGivenProviders } from './given-providers.ts';

const KEY = 'sk-canary-key-0123456789';
const OPENROUTER = { type: 'openrouter', api_key: KEY };
const LAN = {
  type: 'openai-compatible',
  name: 'box',
  base_url: 'http://10.0.0.2:8080/v1/',
  api_key: KEY,
  network: 'lan',
};

function gateway(changes: Parameters<typeof providerFixture>[0] = {}) {
  const fixture = providerFixture(changes);
  const app = createAdminApp(adminPorts({ providers: fixture.service }));
  const authorization = `Bearer ${ADMIN_KEY}`;
  const send = async (method: string, path: string, body?: string, headers: Record<string, string> = {}) => {
    const reply = await app.fetch(
      new Request(`http://localhost/admin/overflow_provider${path}`, {
        method,
        headers: { authorization, 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body }),
      }),
    );
    const text = await reply.text();
    expect(text).not.toContain(KEY);
    return { status: reply.status, body: JSON.parse(text) };
  };
  const add = (body: unknown) => send('POST', '', JSON.stringify(body));
  return { ...fixture, send, add };
}

const openRouterOfEnvironment = someTarget({
  id: 'openrouter',
  provider: 'openrouter',
  adapterKind: 'openrouter',
  place: 'cloud',
});

describe('adding an overflow provider', () => {
  test('puts it into force, stores it and shows its key masked', async () => {
    const { add, live, disk, events } = gateway();
    const reply = await add(OPENROUTER);
    expect(reply).toMatchObject({
      status: 201,
      body: { provider: { name: 'openrouter', key: 'sk-…6789', base_url: null }, verified: false, models: null },
    });
    expect(live.get('openrouter')?.apiKey?.reveal()).toBe(KEY);
    expect(disk.stored.map(({ name }) => name)).toEqual(['openrouter']);
    expect(events).toEqual(['save', 'put']);
  });

  test('vets the address, then tries it, then stores it, then puts it into force', async () => {
    const { add, events } = gateway();
    const reply = await add({ ...LAN, base_url: 'https://api.example.com/v1/', network: 'public', verify: true });
    expect(events).toEqual(['vet', 'probe', 'save', 'put']);
    expect(reply.body).toMatchObject({ verified: true, models: 2, warnings: [] });
    expect(reply.body.provider.base_url).toBe('https://api.example.com/v1');
  });

  test('replaces an earlier one of its name with 200', async () => {
    const { add, disk } = gateway();
    await add(OPENROUTER);
    expect((await add({ ...OPENROUTER, default_model: 'a/b' })).status).toBe(200);
    expect(disk.stored).toMatchObject([{ name: 'openrouter', defaultModel: 'a/b' }]);
  });

  test('takes the place of the one from the environment until it is deleted', async () => {
    const { add, send, live } = gateway({ baseTargets: [openRouterOfEnvironment] });
    expect((await add(OPENROUTER)).status).toBe(201);
    expect(live.get('openrouter')?.source).toBe('admin');
    const reply = await send('DELETE', '/openrouter');
    expect(reply).toMatchObject({
      status: 200,
      body: { removed: 'openrouter', now_in_force: { target: 'openrouter', source: 'environment' } },
    });
    expect(live.get('openrouter')).toBe(openRouterOfEnvironment);
  });

  test('changes nothing when the free call fails, and never repeats the key that the provider repeats', async () => {
    const { add, live, disk } = gateway({
      probe: () => Promise.reject(new UpstreamError('badCredentials', `Incorrect API key provided: ${KEY}`)),
    });
    const reply = await add({ ...OPENROUTER, verify: true });
    expect(reply).toMatchObject({ status: 422, body: { error: { code: 'verification_failed', param: 'api_key' } } });
    expect(reply.body.error.message).toContain('Incorrect API key provided: [secret]');
    expect([live.size, disk.stored.length]).toEqual([0, 0]);
  });

  test('changes nothing when it cannot be stored', async () => {
    const { add, send, live, disk } = gateway();
    disk.failure = new Error('ENOSPC: no space left on device');
    const reply = await add(OPENROUTER);
    expect(reply.status).toBe(500);
    expect(reply.body.error.message).toContain('ENOSPC');
    expect([...live.keys()]).toEqual([]);
    expect((await send('GET', '')).body.providers).toEqual([]);
  });

  test('warns of what is allowed but probably not meant', async () => {
    const { add } = gateway();
    const azure = await add({ type: 'azure', endpoint: 'http://r.example.com', api_key: KEY });
    expect(azure.body.warnings.join('\n')).toMatch(/plain http[\s\S]*No deployments[\s\S]*not tried/);
    const router = await add({ ...OPENROUTER, default_model: 'nobody/has-it', verify: true });
    expect(router.body.warnings).toEqual([
      'default_model "nobody/has-it" is not among the models that the provider lists.',
    ]);
  });

  test('keeps every one of many writers at once', async () => {
    const { add, disk, live, send } = gateway();
    const names = Array.from({ length: 20 }, (_, at) => `box-${at}`);
    await Promise.all(names.map((name) => add({ ...LAN, name })));
    expect(disk.stored.map(({ name }) => name).sort()).toEqual([...names].sort());
    await Promise.all(names.slice(1).map((name) => send('DELETE', `/${name}`)));
    expect(disk.stored.map(({ name }) => name)).toEqual(['box-0']);
    expect([...live.keys()]).toEqual(['box-0']);
  });
});

describe('a private address', () => {
  test('is refused with the way to allow it', async () => {
    const { add, live } = gateway();
    const reply = await add({ ...LAN, network: undefined });
    expect(reply).toMatchObject({ status: 400, body: { error: { param: 'base_url' } } });
    expect(reply.body.error.message).toMatch(/private address.*"network": "lan"/);
    expect(live.size).toBe(0);
  });

  test('is vetted as what the caller said it is', async () => {
    const seen: string[] = [];
    const { add } = gateway({ vetAddress: async (url, network) => void seen.push(`${network} ${url}`) });
    await add(LAN);
    await add({ type: 'azure', endpoint: 'https://r.openai.azure.com/', api_key: KEY });
    expect(seen).toEqual(['lan http://10.0.0.2:8080/v1', 'public https://r.openai.azure.com']);
  });
});

describe('a wrong body', () => {
  test('is told every problem at once, each with the value and what is allowed', async () => {
    const { add, events } = gateway();
    const reply = await add({
      type: 'openai-compatible',
      name: 'My Box',
      base_url: 'ftp://x',
      network: 'wan',
      verify: 'yes',
    });
    const { message, param } = reply.body.error;
    expect(reply.status).toBe(400);
    expect(message).toContain('5 problems');
    expect(message).toContain('name is "My Box": it should be at most 63 of a-z');
    expect(message).toContain('base_url is "ftp://x": it should be an http(s) URL');
    expect(message).toContain('api_key is missing');
    expect(message).toContain('network is "wan": it should be "public" (the default) or "lan"');
    expect(message).toContain('verify is "yes": it should be true or false');
    expect(param).toBe('name');
    expect(events).toEqual([]);
  });

  const unknown: readonly [Record<string, unknown>, string][] = [
    [{ ...OPENROUTER, defaultModel: 'x' }, 'is not a known field: it should be "default_model", or left out'],
    [{ type: 'openrouter', apikey: KEY }, 'is not a known field: it should be "api_key", or left out'],
    [{ ...LAN, baseurl: 'x' }, 'is not a known field: it should be "base_url", or left out'],
    [{ ...OPENROUTER, zzzzzzzzz: 1 }, 'one of type, api_key, base_url, default_model, network, verify'],
  ];
  for (const [body, hint] of unknown) {
    test(`with an unknown field is pointed to: ${hint}`, async () => {
      expect((await gateway().add(body)).body.error.message).toContain(hint);
    });
  }

  test('of an unknown type is told the types', async () => {
    const { body } = await gateway().add({ type: 'open-router', api_key: KEY });
    expect(body.error).toMatchObject({ param: 'type', code: 'invalid_overflow_provider' });
    expect(body.error.message).toContain(
      'type is "open-router": it should be one of "openrouter", "azure", "openai-compatible"',
    );
  });

  test('never has a key repeated, wherever it was put', async () => {
    const { add } = gateway();
    const bodies = [
      { type: KEY, api_key: KEY },
      { type: KEY },
      { ...LAN, name: KEY },
      { ...OPENROUTER, [KEY]: 1 },
      { type: 'openrouter', api_key: `${KEY}\n two` },
      { type: 'openrouter', api_key: [KEY] },
      { ...LAN, base_url: `https://u:${KEY}@host/v1` },
      { ...LAN, base_url: `https://host/v1?key=${KEY}` },
      { type: 'azure', endpoint: 'https://x', api_key: KEY, deployments: { a: { b: KEY } } },
      { ...LAN, network: KEY, verify: KEY },
      [KEY],
      KEY,
    ];
    for (const body of bodies) expect((await add(body)).status).toBe(400);
  });

  test('that is no JSON object is refused', async () => {
    const { send } = gateway();
    for (const body of ['{', '', 'null', '[]', '"x"', '['.repeat(60_000), '{"a":'.repeat(10_000)]) {
      const reply = await send('POST', '', body);
      expect(reply.status).toBe(400);
      expect(['invalid_json', 'json_too_deep', 'invalid_overflow_provider']).toContain(reply.body.error.code);
    }
  });

  test('that is too large, or not called JSON, is refused', async () => {
    const { send } = gateway();
    expect((await send('POST', '', `"${'x'.repeat(70_000)}"`)).body.error.code).toBe('body_too_large');
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', '']) {
      const reply = await send('POST', '', JSON.stringify(OPENROUTER), { 'content-type': type });
      expect(reply).toMatchObject({ status: 415, body: { error: { code: 'unsupported_media_type' } } });
    }
  });
});

describe('a name', () => {
  test('that a target of another kind has, found ones included, is refused', async () => {
    const { add, live } = gateway({
      baseTargets: [
        someTarget({ id: 'gpu', provider: 'lmstudio' }),
        someTarget({ id: 'ollama', adapterKind: 'ollama', source: 'found' }),
      ],
    });
    for (const name of ['gpu', 'ollama', 'auto', 'lmstudio']) {
      expect((await add({ ...LAN, name })).body.error).toMatchObject({ param: 'name' });
    }
    expect(live.get('ollama')?.source).toBe('found');
  });

  test('of a cloud target of the same kind may be taken over', async () => {
    const before = someTarget({ id: 'box', provider: 'box', adapterKind: 'openai-compatible', place: 'cloud' });
    const { add, live } = gateway({ baseTargets: [before] });
    expect((await add(LAN)).status).toBe(201);
    expect(live.get('box')?.source).toBe('admin');
  });
});

describe('deleting an overflow provider', () => {
  test('that is not there tells which are', async () => {
    const { add, send } = gateway({ baseTargets: [openRouterOfEnvironment] });
    await add(LAN);
    const reply = await send('DELETE', '/openrouter');
    expect(reply).toMatchObject({ status: 404, body: { error: { code: 'overflow_provider_not_found' } } });
    expect(reply.body.error.message).toMatch(/Known: box\..*comes from the environment/);
  });

  test('leaves it in force when that cannot be stored', async () => {
    const { add, send, live, disk } = gateway();
    await add(OPENROUTER);
    disk.failure = new Error('read-only file system');
    expect((await send('DELETE', '/openrouter')).status).toBe(500);
    expect(live.has('openrouter')).toBe(true);
    disk.failure = null;
    expect((await send('DELETE', '/openrouter')).body).toMatchObject({ now_in_force: null });
    expect(live.has('openrouter')).toBe(false);
  });
});

describe('a restart', () => {
  test('brings the stored providers back into force', async () => {
    const first = gateway();
    await first.add(LAN);
    await first.add(OPENROUTER);
    const second = providerFixture({ store: first.ports.store, baseTargets: [openRouterOfEnvironment] });
    expect(await second.service.restore()).toBe(2);
    await second.ports.apply(null);
    expect([...second.live.values()].map(({ id, source }) => `${id} ${source}`)).toEqual([
      'openrouter admin',
      'box admin',
    ]);
  });

  test('with a damaged store is told so, and no later write overwrites it', async () => {
    const saved: unknown[] = [];
    const store = {
      load: () => Promise.reject(new Error('The overflow provider file is damaged.')),
      save: async (providers: unknown) => void saved.push(providers),
    };
    const { ports } = providerFixture({ store });
    await expect(createGivenProviders(ports).restore()).rejects.toThrow('is damaged');
    const reply = await gateway({ store }).add(OPENROUTER);
    expect(reply.body.error.code).toBe('not_readable');
    expect(saved).toEqual([]);
  });
});

describe('a change of overflow providers', () => {
  /** With the log in memory: whether an event may be recorded is for `record` to say. */
  function withLog(record: (event: AuditEvent) => void = () => undefined) {
    const recorded: AuditEvent[] = [];
    const parts = gateway({
      audit: {
        record: async (event) => {
          record(event);
          recorded.push(event);
          parts.events.push(`record ${event.action} ${event.outcome ?? 'allowed'}`);
        },
      },
    });
    return { ...parts, recorded };
  }

  test('is on record before it is made, with what was before and is after, the key as a secret', async () => {
    const { add, send, events, recorded } = withLog();
    await add(OPENROUTER);
    await add({ ...OPENROUTER, default_model: 'a/b' });
    await send('DELETE', '/openrouter');
    expect(events).toEqual([
      ...['record provider.add allowed', 'save', 'put'],
      ...['record provider.replace allowed', 'save', 'put'],
      ...['record provider.remove allowed', 'save'],
    ]);
    expect(recorded.map(({ subject, origin }) => `${subject} ${origin.actor.kind}`)).toEqual(
      Array(3).fill('provider:openrouter admin'),
    );
    expect(recorded[1]).toMatchObject({ before: { defaultModel: null }, after: { defaultModel: 'a/b' } });
    expect(recorded.map(({ before, after }) => [before === null, after === null])).toEqual([
      [true, false],
      [false, false],
      [false, true],
    ]);
    expect(JSON.stringify(recorded)).not.toContain(KEY);
  });

  test('that cannot be put on record is not made', async () => {
    const { add, live, disk, events } = withLog(() => {
      throw new Error('the store is full');
    });
    const reply = await add(OPENROUTER);
    expect([reply.status, reply.body.error.code]).toEqual([500, 'not_recorded']);
    expect(reply.body.error.message).toContain('the store is full');
    expect([live.size, disk.stored.length, events]).toEqual([0, 0, []]);
  });

  test('that cannot be stored is on record as refused, with why', async () => {
    const { add, disk, recorded } = withLog();
    disk.failure = new Error('the disk is full');
    expect((await add(OPENROUTER)).body.error.code).toBe('not_stored');
    expect(recorded.map(({ outcome = 'allowed' }) => outcome)).toEqual(['allowed', 'refused']);
    expect(JSON.stringify(recorded[1]?.after)).toContain('the disk is full');
  });

  test('that was refused for what it says is no change, and not on record', async () => {
    const { add, recorded } = withLog();
    expect((await add({ type: 'openrouter' })).status).toBe(400);
    expect(recorded).toEqual([]);
  });
});
