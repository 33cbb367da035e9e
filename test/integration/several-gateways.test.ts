import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret } from '../../src/core/secret.ts';
import { type TestGateway, targetFor, until } from '../support/gateway.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const postgres = await startPostgres();
const folders: string[] = [];
afterAll(async () => {
  await postgres?.stop();
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
});

const PEPPER = new Secret('0123456789abcdef'.repeat(4));
const bearer = (text: string) => ({ authorization: `Bearer ${text}` });
const ask = { model: 'qwen', messages: [{ role: 'user', content: 'hello there' }] };
/** What is promised is two seconds; the machine may be busy. */
const SOON_MS = 6_000;

async function admin(on: TestGateway, method: string, path: string, body?: unknown) {
  const response = await fetch(`${on.url}/admin/${path}`, {
    method,
    headers: { ...bearer(on.adminKey), 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return response.json();
}

const chat = async (on: TestGateway, text: string): Promise<number> => {
  const response = await on.chat(ask, { headers: bearer(text) });
  await response.text();
  return response.status;
};

describe.skipIf(postgres === null)('two gateways on one PostgreSQL', () => {
  async function started(change: object = { keyPepper: PEPPER }) {
    const url = new Secret((await postgres?.database()) ?? '');
    const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }], replyTokens: 12 });
    const one = async () => {
      const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-several-'));
      folders.push(dataDir);
      return gateway([targetFor(local)], { dataDir, databaseUrl: url, ...change });
    };
    return { one: await one(), other: await one() };
  }
  const becomes = (what: string, on: TestGateway, text: string, status: number) =>
    until(what, async () => (await chat(on, text)) === status, SOON_MS);

  test('a key that one of them makes, changes, rotates and revokes counts at the other', async () => {
    const { one, other } = await started();
    expect(await chat(other, 'anything')).toBe(200);
    const { id, key } = await admin(one, 'POST', 'keys', { name: 'ann' });
    await becomes('the door is closed to others', other, 'anything', 401);
    expect(await chat(other, key)).toBe(200);
    expect((await admin(other, 'GET', 'usage?group_by=key')).rows).toMatchObject([{ key: id, requests: 1 }]);
    await admin(one, 'PATCH', `keys/${id}`, { allowed_models: ['other'] });
    await becomes('it may not use the model', other, key, 403);
    await admin(other, 'PATCH', `keys/${id}`, { allowed_models: null });
    expect(await chat(other, key)).toBe(200);
    await becomes('nor is it fenced where that began', one, key, 200);
    const rotated = await admin(one, 'POST', `keys/${id}/rotate`, { grace_seconds: 0 });
    await becomes('its new text opens', other, rotated.key, 200);
    expect(await chat(other, key)).toBe(401);
    await admin(other, 'DELETE', `keys/${id}`);
    await becomes('it is revoked', one, rotated.key, 401);
  }, 60_000);

  test('a budget that one of them sets is kept by the other, too', async () => {
    const { one, other } = await started();
    const { key } = await admin(one, 'POST', 'keys', { name: 'ann' });
    await becomes('the key is known', other, 'anything', 401);
    const made = await admin(one, 'POST', 'budgets', { scope: 'organisation', limit_tokens: 0, window: 'day' });
    await becomes('nothing may be spent', other, key, 429);
    await admin(one, 'DELETE', `budgets/${made.id}`);
    await becomes('the budget is gone', other, key, 200);
  }, 60_000);

  test('what one of them signed in the audit log counts at the other, and nothing was copied by hand', async () => {
    const { one, other } = await started();
    const { id } = await admin(one, 'POST', 'keys', { name: 'ann' });
    await admin(other, 'PATCH', `keys/${id}`, { owner: 'team' });
    await one.gateway.stop(1_000);
    expect(await admin(other, 'GET', 'audit/verify')).toMatchObject({ ok: true, entries: 2, checkpoints: 1 });
  });

  test('each with a pepper of its own, the log of the other says why a key does not open there, and what to do', async () => {
    const { one, other } = await started({});
    const { key } = await admin(one, 'POST', 'keys', { name: 'ann' });
    await becomes('the door of the other is closed', other, 'anything', 401);
    expect([await chat(one, key), await chat(other, key)]).toEqual([200, 401]);
    await other.gateway.stop(1_000);
    await one.gateway.stop(1_000);
    const logs = await Promise.all([one, other].map(({ dataDir }) => readFile(join(dataDir, 'log.jsonl'), 'utf8')));
    expect(
      logs.map((log) => log.includes('give several gateways on one database the same SWARMROUTER_KEY_PEPPER')),
    ).toEqual([false, true]);
  }, 60_000);
});

test('a pepper that is given is not kept in the data folder', async () => {
  const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }], replyTokens: 12 });
  const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-pepper-'));
  folders.push(dataDir);
  const on = await gateway([targetFor(local)], { dataDir, keyPepper: PEPPER });
  const { key } = await admin(on, 'POST', 'keys', { name: 'ann' });
  expect(await chat(on, key)).toBe(200);
  expect(await Bun.file(join(dataDir, 'key-pepper')).exists()).toBe(false);
  await on.gateway.stop(1_000);
  const again = await gateway([targetFor(local)], { dataDir, keyPepper: PEPPER });
  expect(await chat(again, key)).toBe(200);
});
