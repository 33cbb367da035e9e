import { Database } from 'bun:sqlite';
import { afterAll, afterEach, describe, expect, spyOn, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KeyBook } from '../../src/admission/key-book.ts';
import { generateKey, KEY_START, TOKEN_START } from '../../src/admission/key-format.ts';
import { KeyGuard } from '../../src/admission/key-guard.ts';
import { Secret } from '../../src/core/secret.ts';
import { SqliteThread } from '../../src/stores/sqlite/client.ts';
import { STORE_FILE } from '../../src/stores/sqlite/store-file.ts';
import { adminCall, bearer } from '../support/admin-client.ts';
import { hashKey, madeKey } from '../support/client-keys.ts';
import { targetFor } from '../support/gateway.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { runningParts } from '../support/running.ts';
import { madeTenant, PASSWORD, personWith, tokenWith } from '../support/tenants.ts';

const { simulator, gateway } = runningParts();
const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

/** Everything that the store is asked for goes through here. */
const asks = spyOn(SqliteThread.prototype, 'ask');
afterEach(() => asks.mockClear());
afterAll(() => asks.mockRestore());

async function started() {
  const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-guessed-'));
  folders.push(dataDir);
  const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }], replyTokens: 5 });
  const on = await gateway([targetFor(local)], { dataDir, usage: true });
  return { on, dataDir, tenant: await madeTenant(on, 'default', 'web') };
}

/** Until nothing more is written. */
async function quiet(): Promise<void> {
  for (let before = -1; before !== asks.mock.calls.length; ) {
    before = asks.mock.calls.length;
    await Bun.sleep(1_500);
  }
}

/** The budgets are looked at every ten seconds, and the ledger's owner shows that it lives, whoever calls or does not. */
const isAboutCredentials = (command: string): boolean => !/budget|ledger_owner|beat/.test(command);

/** Wrong texts that come from a good one in the ways that people and programs have. */
function mistyped(good: string, turn: number): string {
  const at = turn % good.length;
  const kinds = [
    () => `${good.slice(0, at)}${good[at] === 'x' ? 'y' : 'x'}${good.slice(at + 1)}`,
    () => good.slice(0, at),
    () => `${good}${turn}`,
    () => good.toUpperCase(),
    () => `sk-proj-${turn}${good.slice(9)}`,
    () => `' or 1=1; drop table client_key; -- ${turn}`,
    () => `${KEY_START}${turn}`,
  ];
  return kinds[turn % kinds.length]?.() ?? '';
}

const MILLION = 1_000_000;

describe('S-01 L-01 a key that cannot be one', () => {
  test('is refused a million times without anything being looked up, not even in memory', () => {
    let lookedUp = 0;
    const counted = (text: string): string => {
      lookedUp++;
      return hashKey(text);
    };
    const { text, key } = madeKey('alice');
    const book = new KeyBook(counted, [key]);
    const guard = new KeyGuard({
      book,
      clock: new ManualClock(),
      loopback: true,
      operatorKey: new Secret('x'.repeat(40)),
    });
    let refused = 0;
    for (let turn = 0; turn < MILLION; turn++) {
      const headers = new Headers();
      headers.set('x-api-key', mistyped(text, turn));
      const admitted = guard.admit(headers);
      if (!admitted.ok && admitted.refusal.status === 401) refused++;
    }
    expect([refused, lookedUp]).toEqual([MILLION, 0]);
    expect(guard.admit(new Headers({ 'x-api-key': text })).ok).toBe(true);
    expect(lookedUp).toBe(1);
  }, 120_000);

  test('asks the store for nothing at a whole gateway, on any path, and neither does one that nobody has', async () => {
    const { on, tenant } = await started();
    const token = generateKey(undefined, TOKEN_START);
    // Those of a kind that go on record, before it is counted.
    const flood = async (count: number) => {
      for (let turn = 0; turn < count; turn++) {
        const replies = await Promise.all([
          on.chat({ model: 'qwen', messages: [] }, { headers: bearer(mistyped(tenant.key.text, turn)) }),
          on.chat({ model: 'qwen', messages: [] }, { headers: bearer(generateKey()) }),
          fetch(`${on.url}/v1/models`, { headers: { 'api-key': mistyped(tenant.key.text, turn) } }),
          fetch(`${on.url}/admin/keys`, { headers: bearer(mistyped(token, turn)) }),
          fetch(`${on.url}/admin/keys`, { headers: { cookie: `swarmrouter-session=!${mistyped(token, turn)}` } }),
        ]);
        for (const reply of replies) {
          await reply.text();
          expect(reply.status).toBe(401);
        }
      }
    };
    await flood(12);
    await quiet();
    asks.mockClear();
    await flood(400);
    expect(asks.mock.calls.map(([command]) => JSON.stringify(command)).filter(isAboutCredentials)).toEqual([]);
  }, 60_000);
});

describe('S-01 a credential that could be one, but is nobody’s', () => {
  test('is looked up a bounded number of times, while whoever has one goes on', async () => {
    const { on } = await started();
    const auditor = await tokenWith(on, 'auditor');
    const person = await personWith(on, 'olga', 'auditor');
    expect((await adminCall(on.url, 'GET', '/admin/session', auditor)).status).toBe(200);
    expect((await adminCall(on.url, 'GET', '/admin/session', person)).status).toBe(200);
    await quiet();
    asks.mockClear();
    const session = () => Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64url');
    const statuses = new Map<number, number>();
    const flood = async (turns: number): Promise<void> => {
      for (let turn = 0; turn < turns; turn++) {
        const tries = await Promise.all([
          fetch(`${on.url}/admin/keys`, { headers: bearer(generateKey(undefined, TOKEN_START)) }),
          fetch(`${on.url}/admin/keys`, { headers: { cookie: `swarmrouter-session=${session()}` } }),
        ]);
        for (const { status } of tries) statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    };
    await flood(1_000);
    const throttled = statuses.get(429) ?? 0;
    expect([...statuses.keys()].sort()).toEqual([401, 429]);
    expect(throttled).toBeGreaterThan(1_000);
    // One look-up each, and some entries of the audit log, each of a few statements.
    expect(asks.mock.calls.length).toBeLessThan(2_000 - throttled + 200);
    for (const as of [auditor, person]) expect((await adminCall(on.url, 'GET', '/admin/session', as)).status).toBe(200);
    // Whoever comes in during the flood, from the same address even, is in.
    const late = [await tokenWith(on, 'operator'), await personWith(on, 'late', 'operator')];
    await flood(300);
    for (const as of late) expect((await adminCall(on.url, 'GET', '/admin/session', as)).status).toBe(200);
    const reply = await fetch(`${on.url}/admin/keys`, { headers: bearer(generateKey(undefined, TOKEN_START)) });
    expect([reply.status, Number(reply.headers.get('retry-after'))]).toEqual([429, 1]);
    expect((await reply.json()).error.code).toBe('too_many_unknown_credentials');
    expect((await adminCall(on.url, 'GET', '/admin/session', { as: bearer(on.adminKey) })).status).toBe(200);
  }, 60_000);
});

describe('L-05 what is stored of a credential', () => {
  test('opens nothing in its place, and no reply shows it', async () => {
    const { on, dataDir, tenant } = await started();
    const as = bearer(on.adminKey);
    await personWith(on, 'olga', 'owner');
    const db = new Database(join(dataDir, STORE_FILE), { readonly: true });
    const column = (table: string, name: string) =>
      db
        .query<Record<string, string>, []>(`select ${name} from ${table}`)
        .all()
        .map((row) => row[name] ?? '');
    const stored = {
      keys: column('client_key_version', 'key_hash'),
      tokens: column('service_token', 'token_hash'),
      sessions: column('admin_session', 'session_hash'),
      passwords: column('person', 'password_hash'),
    };
    db.close();
    for (const texts of Object.values(stored)) expect(texts.length).toBeGreaterThan(0);
    expect(stored.passwords[0]).toStartWith('scrypt$');
    const texts = Object.values(stored).flat();
    for (const text of texts) {
      const tries = [
        await fetch(`${on.url}/v1/models`, { headers: bearer(text) }),
        await fetch(`${on.url}/admin/keys`, { headers: bearer(text) }),
        await fetch(`${on.url}/admin/keys`, { headers: { cookie: `swarmrouter-session=${text}` } }),
      ];
      expect(tries.map(({ status }) => status)).toEqual([401, 401, 401]);
    }
    for (const name of ['olga', tenant.canary]) {
      const body = { name, password: stored.passwords[0] };
      expect((await adminCall(on.url, 'POST', '/admin/login', { as: {}, body })).status).toBe(401);
    }
    expect(
      (await adminCall(on.url, 'POST', '/admin/login', { as: {}, body: { name: 'olga', password: PASSWORD } })).status,
    ).toBe(200);
    for (const path of [
      'keys',
      `keys/${tenant.key.id}`,
      'users',
      'tokens',
      'audit?limit=1000',
      'audit/export?format=json',
      'session',
    ]) {
      const reply = await adminCall(on.url, 'GET', `/admin/${path}`, { as });
      expect(reply.status).toBe(200);
      for (const text of texts) expect(`${path} ${reply.text.includes(text)}`).toBe(`${path} false`);
    }
  }, 30_000);
});
