import { describe, expect, test } from 'bun:test';
import { ADDRESS_CORPUS, resolveCorpusName } from '../../../test/support/address-corpus.ts';
import { vetAddress } from '../../adapters/address-guard.ts';
import { readGivenProvider } from '../../config/given-provider.ts';
import { targetFromGivenProvider } from '../../config/targets.ts';
import { RESERVED_PROVIDERS } from '../../core/target.ts';
import { ADMIN_KEY, adminPorts, providerFixture, someTarget, someView } from './admin-fixture.ts';
import { createAdminApp } from './app.ts';

const KEY = 'sk-canary-key-0123456789';
const STUDIO = { name: 'studio', kind: 'lm-studio', url: 'http://192.168.1.20:1234' };
const CLOUD = { name: 'far', kind: 'openai-compatible', url: 'https://api.example.com/v1', api_key: KEY };

const clocks = { connectMs: 1, firstByteMs: 2, firstTokenMs: 3, idleMs: 4, warmupMs: 5, streamMs: 6, queueMs: null };
const usual = { clocksFor: () => clocks, maxConcurrent: 6, assemble: true };

function gateway({ baseTargets = [], ...changes }: Parameters<typeof providerFixture>[0] = {}) {
  const fixture = providerFixture({
    baseTargets,
    vetAddress: async (url, network) => void (await vetAddress(url, { network }, resolveCorpusName)),
    toTarget: (provider) => targetFromGivenProvider(provider, usual),
    reservedNames: ['auto', 'swarmrouter', ...RESERVED_PROVIDERS],
    ...changes,
  });
  const inForce = () => {
    const given = fixture.service.inForce().map((provider) => targetFromGivenProvider(provider, usual));
    return [...new Map([...baseTargets, ...given].map((target) => [target.id, target])).values()];
  };
  const app = createAdminApp(
    adminPorts({
      providers: fixture.service,
      readProvider: readGivenProvider,
      configuredTargets: () => baseTargets,
      targets: () => inForce().map((target) => someView({ target })),
    }),
  );
  const send = async (method: string, path = '', body?: unknown, headers: Record<string, string> = {}) => {
    const reply = await app.fetch(
      new Request(`http://localhost/admin/providers${path}`, {
        method,
        headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    );
    const text = await reply.text();
    expect(text).not.toContain(KEY);
    return { status: reply.status, etag: reply.headers.get('etag'), body: JSON.parse(text) };
  };
  return { ...fixture, send };
}

describe('adding a provider', () => {
  test('of any kind takes the fields of a target of the YAML file', async () => {
    const { send, disk } = gateway();
    const all = {
      ...{
        ...STUDIO,
        api_key: KEY,
        max_concurrent: 2,
        assemble: false,
        continues_answers: false,
        default_model: 'qwen',
      },
      ...{ connect_timeout: 0.25, first_byte_timeout: 7, first_token_timeout: 8, idle_timeout: 9, warmup_timeout: 10 },
      ...{ stream_timeout: 11, queue_timeout: 0 },
    };
    const { status, etag, body } = await send('POST', '', all);
    expect([status, etag]).toEqual([201, '"1"']);
    const { api_key: _, ...given } = all;
    expect(body.provider).toMatchObject({
      ...{ name: 'studio', kind: 'lm-studio', place: 'local', source: 'admin', changeable: true, replaces: null },
      ...{ key: 'sk-…6789', network: 'lan', max_concurrent: 2, assemble: false, given: { ...given, network: 'lan' } },
      timeouts: { connect_timeout: 0.25, queue_timeout: 0, stream_timeout: 11 },
    });
    expect(disk.stored).toMatchObject([{ name: 'studio', maxConcurrent: 2, clocks: { connectMs: 250, queueMs: 0 } }]);
    for (const kind of ['lm-studio', 'ollama', 'llama-cpp', 'vllm', 'sglang', 'auto']) {
      const { body: added } = await send('POST', '', { name: `my-${kind}`, kind, url: 'http://127.0.0.1:9000' });
      expect(added.provider).toMatchObject({ kind, place: 'local', network: 'lan', key: null });
    }
    for (const kind of ['openrouter', 'azure-openai', 'openai-compatible']) {
      const { body: added } = await send('POST', '', { ...CLOUD, name: `my-${kind}`, kind });
      expect(added.provider).toMatchObject({ kind, place: 'cloud', network: 'public' });
    }
  });

  test('twice is refused; PUT replaces it', async () => {
    const { send } = gateway();
    await send('POST', '', STUDIO);
    const twice = await send('POST', '', STUDIO);
    expect([twice.status, twice.body.error.code]).toEqual([409, 'provider_exists']);
    const put = await send('PUT', '/studio', { kind: 'lm-studio', url: 'http://192.168.1.21:1234' });
    expect([put.status, put.etag, put.body.provider.url]).toEqual([200, '"2"', 'http://192.168.1.21:1234']);
    expect((await send('PUT', '/new', { kind: 'vllm', url: 'http://127.0.0.1:9' })).status).toBe(201);
    const other = await send('PUT', '/new', { name: 'old', kind: 'vllm', url: 'http://127.0.0.1:9' });
    expect([other.status, other.body.error.param]).toEqual([400, 'name']);
  });

  test('tells every problem at once, with what is allowed, and changes nothing', async () => {
    const { send, disk, events } = gateway();
    const { status, body } = await send('POST', '', {
      ...{ name: 'Über Box', kind: 'lmstudo', url: 'ftp://x', place: 'moon', max_concurrent: '8', assemble: 'yes' },
      ...{ idle_timeout: 0, deployments: { a: 1 }, apikey: 'x', network: 'wan', verify: 'maybe', api_key: 'env:HOME' },
    });
    expect([status, body.error.code]).toEqual([400, 'invalid_provider']);
    const { message } = body.error;
    expect(message).toContain('12 problems');
    for (const part of [
      'name is "Über Box"',
      'kind is "lmstudo": it is not one of the choices. Allowed: one of lm-studio, ollama',
      'url is "ftp://x": it must start with http:// or https://',
      'place is "moon"',
      'max_concurrent is "8": it is of the wrong type. Allowed: a whole number from 1 to 10000',
      'assemble is',
      'idle_timeout is "0": it is below 0.1',
      'deployments is',
      'apikey: there is no such field',
      'did you mean api_key',
      'network is "wan"',
      'verify is "maybe"',
      'api_key is "…": env: and file: are read in the YAML file alone',
    ]) {
      expect(message).toContain(part);
    }
    expect([disk.stored, events]).toEqual([[], []]);
    const missing = await send('POST', '', {});
    for (const name of ['name', 'kind', 'url']) expect(missing.body.error.message).toContain(`${name}: it is missing`);
    for (const wrong of [null, [], 'x', 5]) expect((await send('POST', '', wrong)).status).toBe(400);
    const unfit = await send('POST', '', { ...CLOUD, max_concurrent: 3, api_version: 'v', deployments: { a: 'b' } });
    expect(unfit.body.error.message).toContain('3 problems');
  });

  test('shows a value as it was sent, quoted once, so that a number and its text are told apart', async () => {
    const { send } = gateway();
    expect((await send('POST', '', { ...CLOUD, max_concurrent: '8' })).body.error.message).toContain('is "8": ');
    await send('POST', '', STUDIO);
    const message = async (body: object) => (await send('PATCH', '/studio', body)).body.error.message;
    expect(await message({ kind: 'vllm' })).toStartWith('kind is "vllm": it cannot be changed.');
    expect(await message({ kind: 7 })).toStartWith('kind is 7: it cannot be changed.');
    expect(await message({ url: 8 })).toStartWith('url is 8: it is of the wrong type.');
  });

  test('never repeats a key, wherever it was put', async () => {
    const { send } = gateway();
    for (const body of [
      { ...CLOUD, name: KEY },
      { ...CLOUD, kind: KEY },
      { ...CLOUD, [KEY]: 1 },
      { ...CLOUD, url: `https://u:${KEY}@host/v1` },
      { ...CLOUD, url: `https://host/${KEY}` },
      { ...CLOUD, api_key: [KEY] },
      { ...CLOUD, api_key: `${KEY}\ntwo words` },
      { ...CLOUD, default_model: KEY },
      { ...CLOUD, network: KEY, verify: KEY, place: KEY },
      { ...CLOUD, deployments: { a: { b: KEY } } },
      [KEY],
    ]) {
      expect((await send('POST', '', body)).status).toBe(400);
    }
  });

  test('with a name that stands for another kind, or that a target of another kind has, is refused', async () => {
    const gpu = someTarget({ id: 'gpu', adapterKind: 'vllm', provider: 'vllm' });
    const { send } = gateway({ baseTargets: [gpu] });
    for (const name of ['gpu', 'ollama', 'openrouter', 'auto', 'swarmrouter']) {
      const { status, body } = await send('POST', '', { ...STUDIO, name });
      expect([name, status, body.error.param]).toEqual([name, 400, 'name']);
    }
    expect((await send('POST', '', { ...STUDIO, name: 'lmstudio' })).status).toBe(201);
    expect((await send('PUT', '/lmstudio', { kind: 'vllm', url: STUDIO.url })).status).toBe(400);
  });

  test('is tried first when that is asked for, which has no meaning for a server whose kind is not known', async () => {
    const { send, events } = gateway();
    const { body } = await send('POST', '', { ...STUDIO, default_model: 'nobodys', verify: true });
    expect(body).toMatchObject({ verified: true, models: 2 });
    expect(body.warnings).toEqual(['default_model "nobodys" is not among the models that the provider lists.']);
    expect(events).toEqual(['probe', 'save', 'put']);
    const auto = await send('POST', '', { ...STUDIO, name: 'x', kind: 'auto', verify: true });
    expect([auto.status, auto.body.error.param]).toEqual([400, 'verify']);
  });

  test('warns when another target leads to the same server', async () => {
    const { send } = gateway({ baseTargets: [someTarget({ id: 'den', baseUrl: STUDIO.url })] });
    const { body } = await send('POST', '', STUDIO);
    expect(body.warnings[0]).toContain('den leads to the same address');
  });
});

describe('the address of a provider given at run time', () => {
  const lan = (verdict: string) => verdict !== 'never';
  const forms = [
    { what: 'a local kind', body: { kind: 'vllm' }, may: lan },
    { what: 'kind auto', body: { kind: 'auto' }, may: lan },
    { what: 'a local kind on the public network', body: { kind: 'ollama', network: 'public' }, may: isPublic },
    { what: 'a cloud kind', body: { kind: 'openai-compatible' }, may: isPublic },
    { what: 'a cloud kind that is called local', body: { kind: 'openai-compatible', place: 'local' }, may: isPublic },
    { what: 'a cloud kind in the LAN', body: { kind: 'openrouter', network: 'lan' }, may: lan },
  ];
  function isPublic(verdict: string): boolean {
    return verdict === 'public';
  }
  for (const { what, body, may } of forms) {
    test(`of ${what} is checked, whoever writes it and however`, async () => {
      const { send } = gateway();
      const wrong: string[] = [];
      for (const [url, verdict] of ADDRESS_CORPUS) {
        for (const [method, path] of [
          ['POST', ''],
          ['PUT', '/box'],
        ] as const) {
          const { status } = await send(method, path, { name: 'box', ...body, url });
          if (status !== (may(verdict) ? 201 : 400)) wrong.push(`${method} ${url} (${verdict}): ${status}`);
          if (status === 201) await send('DELETE', '/box');
        }
      }
      expect(wrong).toEqual([]);
    });
  }

  test('is checked when it is changed, too', async () => {
    const { send } = gateway();
    await send('POST', '', { ...STUDIO, name: 'box' });
    const wrong: string[] = [];
    for (const [url, verdict] of ADDRESS_CORPUS) {
      const { status } = await send('PATCH', '/box', { url });
      if (status !== (verdict === 'never' ? 400 : 200)) wrong.push(`${url} (${verdict}): ${status}`);
    }
    expect(wrong).toEqual([]);
    await send('PATCH', '/box', { url: STUDIO.url });
    expect((await send('PATCH', '/box', { network: 'public' })).status).toBe(400);
  });
});

describe('changing a provider', () => {
  test('takes what is given, and null for what is usual; the rest stays, the key too', async () => {
    const { send, disk } = gateway();
    await send('POST', '', { ...STUDIO, api_key: KEY, max_concurrent: 2, idle_timeout: 5 });
    const { status, etag, body } = await send('PATCH', '/studio', { max_concurrent: null, default_model: 'qwen' });
    expect([status, etag]).toEqual([200, '"2"']);
    expect(body.provider.given).toEqual({ ...STUDIO, network: 'lan', idle_timeout: 5, default_model: 'qwen' });
    expect(disk.stored[0]?.apiKey?.reveal()).toBe(KEY);
    expect((await send('PATCH', '/studio', { api_key: null })).body.provider.key).toBeNull();
  });

  test('sends no key to another address than it was given for', async () => {
    const { send, disk } = gateway();
    await send('POST', '', CLOUD);
    const moved = await send('PATCH', '/far', { url: 'https://93.184.216.34/v1' });
    expect([moved.status, moved.body.error.param]).toEqual([400, 'api_key']);
    expect((await send('PATCH', '/far', { url: 'https://api.example.com/v2' })).status).toBe(200);
    const again = { url: 'https://93.184.216.34/v1', api_key: 'another-key-0123456789' };
    expect((await send('PATCH', '/far', again)).status).toBe(200);
    expect(disk.stored[0]).toMatchObject({ url: again.url });
    expect((await send('PATCH', '/far', { url: 'https://1.1.1.1', api_key: null })).status).toBe(200);
  });

  test('is refused with 412 when somebody else was quicker, and changes nothing', async () => {
    const { send, disk } = gateway();
    await send('POST', '', STUDIO);
    const read = await send('GET', '/studio');
    expect(read.etag).toBe('"1"');
    const first = { 'if-match': read.etag ?? '' };
    expect((await send('PATCH', '/studio', { max_concurrent: 3 }, first)).status).toBe(200);
    for (const [method, body] of [
      ['PATCH', { max_concurrent: 4 }],
      ['PUT', { kind: 'lm-studio', url: STUDIO.url }],
      ['DELETE', undefined],
    ] as const) {
      const late = await send(method, '/studio', body, first);
      expect([late.status, late.body.error.code]).toEqual([412, 'revision_conflict']);
      expect(late.body.error.message).toBe(
        'The provider was changed since it was read: If-Match asks for revision 1, and revision 2 is in force. Read it again (GET), and send the change with its new ETag.',
      );
    }
    expect(disk.stored).toMatchObject([{ maxConcurrent: 3, revision: 2 }]);
    expect((await send('PUT', '/other', { kind: 'vllm', url: STUDIO.url }, { 'if-match': '"1"' })).status).toBe(412);
    expect((await send('DELETE', '/studio', undefined, { 'if-match': '"2"' })).status).toBe(200);
    expect((await send('GET', '/studio', undefined, { 'if-match': 'x' })).status).toBe(404);
  });

  test('keeps each of many changes at once when none asks for a revision, and one of those that ask for the same', async () => {
    const { send, disk } = gateway();
    await send('POST', '', STUDIO);
    const atOnce = async (headers: Record<string, string>) => {
      const change = (at: number) => send('PATCH', '/studio', { max_concurrent: at + 1 }, headers);
      const changes = await Promise.all(Array.from({ length: 12 }, (_, at) => change(at)));
      return changes.map(({ status }) => status).toSorted();
    };
    expect(await atOnce({})).toEqual(Array(12).fill(200));
    expect(disk.stored[0]?.revision).toBe(13);
    expect(await atOnce({ 'if-match': '"13"' })).toEqual([200, ...Array(11).fill(412)]);
    expect(disk.stored[0]?.revision).toBe(14);
  });

  test('at once in two fields keeps both, and one that is deleted meanwhile is not there', async () => {
    const { send, disk } = gateway();
    await send('POST', '', STUDIO);
    const fields = [{ max_concurrent: 7 }, { default_model: 'qwen' }];
    const both = await Promise.all(fields.map((change) => send('PATCH', '/studio', change)));
    expect(both.map(({ status }) => status)).toEqual([200, 200]);
    expect(disk.stored[0]).toMatchObject({ maxConcurrent: 7, defaultModel: 'qwen', revision: 3 });
    const [deleted, changed] = await Promise.all([
      send('DELETE', '/studio'),
      send('PATCH', '/studio', { max_concurrent: 8 }),
    ]);
    expect([deleted.status, changed.status, disk.stored]).toEqual([200, 404, []]);
  });

  test('does not move it to another place, as replacing it does not', async () => {
    const { send, disk } = gateway();
    await send('POST', '', { ...CLOUD, place: 'local' });
    const replaced = await send('PUT', '/far', { ...CLOUD, place: 'cloud' });
    const changed = await send('PATCH', '/far', { place: 'cloud' });
    expect([replaced.status, changed.status, changed.body.error.param]).toEqual([400, 400, 'place']);
    expect(changed.body.error.message).toContain('"local"');
    expect(disk.stored).toMatchObject([{ place: 'local', revision: 1 }]);
    expect((await send('PATCH', '/far', { place: 'local', default_model: 'qwen' })).status).toBe(200);
  });

  test('of its name or kind, of one that is not there, or that comes from elsewhere, is refused', async () => {
    const { send } = gateway({ baseTargets: [someTarget()] });
    await send('POST', '', STUDIO);
    const { body } = await send('PATCH', '/studio', { name: 'x', kind: 'vllm' });
    expect(body.error.message).toContain('2 problems');
    for (const [method, sent] of [
      ['PATCH', { max_concurrent: 1 }],
      ['DELETE', undefined],
    ] as const) {
      expect((await send(method, '/nobody', sent)).status).toBe(404);
      const elsewhere = await send(method, '/lmstudio', sent);
      expect([elsewhere.status, elsewhere.body.error.code]).toEqual([409, 'provider_not_changeable']);
      expect(elsewhere.body.error.message).toContain('comes from the environment');
    }
  });
});

describe('the list of providers', () => {
  const fromYaml = someTarget({ id: 'studio', source: 'yaml', baseUrl: 'http://10.0.0.9:1234' });

  test('shows every target in force with where it comes from, and what comes back when one is deleted', async () => {
    const { send } = gateway({ baseTargets: [someTarget(), fromYaml] });
    await send('POST', '', STUDIO);
    const { body } = await send('GET');
    expect(body.providers).toMatchObject([
      { name: 'lmstudio', source: 'environment', changeable: false, replaces: null, given: null, revision: 0 },
      { name: 'studio', source: 'admin', changeable: true, replaces: 'yaml', revision: 1, health: { status: 'up' } },
    ]);
    const removed = await send('DELETE', '/studio');
    expect(removed.body).toMatchObject({ now_in_force: { source: 'yaml', url: 'http://10.0.0.9:1234' } });
    expect(removed.body.message).toBe('studio is deleted; the one from the YAML file is in force again.');
  });

  test('does not wait for a change that looks at a server which does not answer', async () => {
    const { promise: looked, resolve: answer } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const apply = () => {
      begin();
      return looked;
    };
    const { send } = gateway({ baseTargets: [someTarget()], apply });
    const adding = send('POST', '', STUDIO);
    await begun;
    const names = async () => (await send('GET')).body.providers.map(({ name }: { name: string }) => name);
    expect(await names()).toEqual(['lmstudio', 'studio']);
    expect((await send('GET', '/studio')).status).toBe(200);
    answer();
    expect((await adding).status).toBe(201);
  });

  test('comes in pages', async () => {
    const { send } = gateway();
    for (const name of ['c', 'a', 'b']) await send('POST', '', { ...STUDIO, name });
    const first = await send('GET', '?limit=2');
    expect(first.body.providers.map(({ name }: { name: string }) => name)).toEqual(['a', 'b']);
    const second = await send('GET', `?limit=2&cursor=${first.body.next_cursor}`);
    expect([second.body.providers[0].name, second.body.next_cursor]).toEqual(['c', null]);
    for (const query of ['?limit=0', '?limit=x', '?cursor=!', '?page=2']) {
      expect([query, (await send('GET', query)).body.error.code]).toEqual([query, 'invalid_query']);
    }
  });
});
