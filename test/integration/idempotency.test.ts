import { afterAll, beforeAll, expect, test } from 'bun:test';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AdminReply, admin, bearer } from '../support/admin-client.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';

let on: TestGateway;
beforeAll(async () => {
  on = await startTestGateway([]);
});
afterAll(() => on.stop());

const withKey = (key: string, more: Record<string, string> = {}) => ({ 'idempotency-key': key, ...more });
const keyCount = async () => (await admin(on, 'GET', 'keys')).body.keys.length;
const replayed = ({ headers }: AdminReply) => headers.get('idempotent-replayed');

test('A-08: whatever is made once is made once, and its reply is given again, also what is shown only once', async () => {
  const making: [string, object][] = [
    ['keys', { name: 'ann', project: 'web' }],
    ['budgets', { scope: 'project', name: 'web', limit_tokens: 5_000, window: 'day' }],
    ['projects', { id: 'ops', name: 'ops' }],
    ['organisations', { id: 'acme', name: 'acme' }],
    ['users', { name: 'ben', password: 'a-long-password-of-ben', grants: [{ role: 'member' }] }],
    ['tokens', { name: 'robot', grants: [{ role: 'auditor' }] }],
    ['prices', { model: 'm', input_usd_per_mtok: 1, output_usd_per_mtok: 1 }],
    ['limits', { scope: 'project', name: 'web', rpm: 5 }],
    ['overflow_provider', { type: 'openrouter', api_key: 'sk-or-v1-0123456789abcdef' }],
  ];
  for (const [path, body] of making) {
    const first = await admin(on, 'POST', path, body, withKey(`make-${path}`));
    expect([path, first.status < 300, replayed(first)]).toEqual([path, true, null]);
    const again = await admin(on, 'POST', path, body, withKey(`make-${path}`));
    expect([path, again.status, replayed(again), again.body]).toEqual([path, first.status, 'true', first.body]);
    expect(again.headers.get('etag')).toBe(first.headers.get('etag'));
    expect(again.headers.get('cache-control')).toBe('no-store');
  }
  expect(await keyCount()).toBe(1);
});

test('A-08: twenty that come at once make one; who comes while it is under way is told to wait', async () => {
  const before = await keyCount();
  const replies = await Promise.all(
    Array.from({ length: 20 }, () => admin(on, 'POST', 'keys', { name: 'at-once' }, withKey('at-once'))),
  );
  const statuses = replies.map(({ status }) => status);
  expect(statuses.filter((status) => status !== 201 && status !== 409)).toEqual([]);
  expect(replies.filter((reply) => reply.status === 201 && replayed(reply) === null).length).toBe(1);
  for (const { status, body, headers } of replies.filter((reply) => reply.status === 409)) {
    expect([status, body.error.code, headers.get('retry-after')]).toEqual([409, 'idempotency_key_in_use', '1']);
  }
  expect(await keyCount()).toBe(before + 1);
});

test('A-08: another request with the same key is refused, and changes nothing', async () => {
  await admin(on, 'POST', 'keys', { name: 'one' }, withKey('reused'));
  const before = await keyCount();
  const other = await admin(on, 'POST', 'keys', { name: 'two' }, withKey('reused'));
  expect([other.status, other.body.error.code]).toEqual([422, 'idempotency_key_reused']);
  expect(await keyCount()).toBe(before);
});

test('A-08: what was refused is not kept: it may be mended under the same key', async () => {
  const wrong = await admin(on, 'POST', 'keys', { name: '' }, withKey('mended'));
  expect(wrong.status).toBe(400);
  expect((await admin(on, 'POST', 'keys', { name: 'mended' }, withKey('mended'))).status).toBe(201);
});

test('A-08: nobody gets what somebody else was answered', async () => {
  const token = async (name: string) =>
    (await admin(on, 'POST', 'tokens', { name, grants: [{ role: 'admin' }] })).body.token as string;
  const [first, second] = [await token('t1'), await token('t2')];
  const make = (text: string) => admin(on, 'POST', 'keys', { name: 'same' }, withKey('shared', bearer(text)));
  const replies = [
    await make(first),
    await make(second),
    await admin(on, 'POST', 'keys', { name: 'same' }, withKey('shared')),
  ];
  expect(replies.map((reply) => [reply.status, replayed(reply)])).toEqual(Array(3).fill([201, null]));
  expect(new Set(replies.map(({ body }) => body.key)).size).toBe(3);
  // Another organisation of the same principal, and another route.
  const acme = await admin(
    on,
    'POST',
    'keys',
    { name: 'same' },
    withKey('shared', { 'x-swarmrouter-organisation': 'acme' }),
  );
  expect([acme.status, replayed(acme)]).toEqual([201, null]);
  const id = replies[2]?.body.id;
  const rotated = await admin(on, 'POST', `keys/${id}/rotate`, { name: 'same' }, withKey('shared'));
  expect(replayed(rotated)).toBeNull();
  // Who may no longer do it gets nothing, whatever was answered before.
  const none = await admin(on, 'POST', 'keys', { name: 'same' }, withKey('shared', bearer('wrong')));
  expect(none.status).toBe(401);
});

test('A-08: changes and deletions too; reading is never replayed', async () => {
  const { body } = await admin(on, 'POST', 'keys', { name: 'changing' });
  const path = `keys/${body.id}`;
  const change = () => admin(on, 'PATCH', path, { owner: 'me' }, withKey('change', { 'if-match': '"1"' }));
  expect([(await change()).status, replayed(await change())]).toEqual([200, 'true']);
  const remove = () => admin(on, 'DELETE', path, undefined, withKey('remove'));
  const first = await remove();
  const second = await remove();
  expect([first.status, second.status, replayed(second)]).toEqual([200, 200, 'true']);
  expect(replayed(await admin(on, 'GET', 'keys', undefined, withKey('change')))).toBeNull();
});

test('A-08: a key that is none is refused; a body that is too long is its route’s to refuse', async () => {
  for (const key of ['a b', 'x'.repeat(256)]) {
    const reply = await admin(on, 'POST', 'keys', { name: 'x' }, { 'idempotency-key': key });
    expect([reply.status, reply.body.error.code]).toEqual([400, 'invalid_idempotency_key']);
  }
  const long = await admin(on, 'POST', 'keys', { name: 'x'.repeat(70_000) }, withKey('long'));
  expect(long.status).toBe(413);
  // A question may be as long as a request: its route takes it.
  const question = { model: 'm', messages: [{ role: 'user', content: 'x'.repeat(70_000) }] };
  for (const body of [JSON.stringify(question), new Blob([JSON.stringify(question)]).stream()]) {
    const reply = await fetch(`${on.url}/admin/explain`, {
      method: 'POST',
      headers: { ...bearer(on.adminKey), 'content-type': 'application/json', 'idempotency-key': 'question' },
      body,
    });
    expect([reply.status, (await reply.json()).model]).toEqual([200, 'm']);
  }
});

test('A-08: no key’s text gets to the disk by it', async () => {
  const { body } = await admin(on, 'POST', 'keys', { name: 'secret' }, withKey('secret'));
  for (const name of await readdir(on.dataDir, { recursive: true })) {
    const content = await readFile(join(on.dataDir, name)).catch(() => Buffer.alloc(0));
    expect([name, content.includes(body.key)]).toEqual([name, false]);
  }
});

test('A-08: the documentation of each write says so', async () => {
  const { paths } = await (await fetch(`${on.url}/openapi.json`)).json();
  const writes = Object.entries<Record<string, { parameters?: { name: string }[] }>>(paths).flatMap(([path, item]) =>
    ['post', 'put', 'patch', 'delete'].flatMap((method) => {
      const operation = path.startsWith('/admin/') ? item[method] : undefined;
      return operation === undefined
        ? []
        : [[path, method, operation.parameters?.some(({ name }) => name === 'Idempotency-Key') ?? false]];
    }),
  );
  expect(writes.length).toBeGreaterThan(20);
  // A login is the one that is done again: whoever sends it is not known yet.
  expect(writes.filter(([, , isSaid]) => isSaid !== true)).toEqual([['/admin/login', 'post', false]]);
});
