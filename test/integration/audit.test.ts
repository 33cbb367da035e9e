import { Database } from 'bun:sqlite';
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../src/cli/program.ts';
import { recordedTerminal } from '../../src/cli/terminal-fixture.ts';
import { ANYTHING } from '../../src/core/client-key.ts';
import { type TestGateway, targetFor, until } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';
import { storeKeys } from '../support/stored-keys.ts';

const { simulator, gateway } = runningParts();
const KEY = 'sk-canary-provider-key-0123456789';

const admin = (to: TestGateway, path: string, init: RequestInit = {}, key = to.adminKey) =>
  fetch(`${to.url}/admin${path}`, {
    ...init,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...init.headers },
  });
const audit = async (of: TestGateway, query = '') => (await admin(of, `/audit${query}`)).json();
const actions = async (of: TestGateway, query = ''): Promise<string[]> =>
  (await audit(of, query)).entries.map(({ action, outcome }: Record<string, string>) => `${action} ${outcome}`);

/** A gateway with a store, and a provider that was added and taken away again. */
async function withHistory(change = {}) {
  const cloud = await simulator({ kind: 'openrouter', apiKey: KEY });
  const started = await gateway([targetFor(await simulator({ kind: 'lm-studio' }))], { usage: true, ...change });
  const body = JSON.stringify({ type: 'openrouter', api_key: KEY, base_url: cloud.baseUrl, network: 'lan' });
  const headers = { 'x-request-id': 'the-adding-request' };
  expect((await admin(started, '/overflow_provider', { method: 'POST', body, headers })).status).toBe(201);
  expect((await admin(started, '/overflow_provider/openrouter', { method: 'DELETE' })).status).toBe(200);
  return started;
}

/** Runs `swarmrouter <words>` against this gateway. */
async function run({ url, adminKey }: TestGateway, ...words: string[]) {
  const terminal = recordedTerminal({ environment: { SWARMROUTER_ADMIN_KEY: adminKey } });
  const code = await runProgram([...words, '--url', url], terminal);
  return { code, ...terminal.written() };
}

/** As somebody does who can write to the file. */
function meddle({ dataDir }: TestGateway, statement: string): void {
  const db = new Database(join(dataDir, 'swarmrouter.db'));
  for (const event of ['update', 'delete']) db.run(`drop trigger if exists audit_entry_no_${event}`);
  db.run(statement);
  db.close();
}

describe('the audit log of a gateway', () => {
  test('tells who changed a provider, from where, in which request, and shows no key', async () => {
    const started = await withHistory();
    const { entries, next_cursor } = await audit(started);
    expect(next_cursor).toBeNull();
    expect(entries).toMatchObject([
      {
        sequence: 2,
        action: 'provider.remove',
        subject: 'provider:openrouter',
        before: { kind: 'openrouter', network: 'lan' },
        after: null,
        outcome: 'allowed',
      },
      {
        sequence: 1,
        actor: { kind: 'admin', id: 'admin-key' },
        address: '127.0.0.1',
        request_id: 'the-adding-request',
        action: 'provider.add',
        before: null,
      },
    ]);
    expect(entries[1].after.apiKey).toMatch(/^fingerprint:[0-9a-f]{12}$/);
    expect(entries[0].before.apiKey).toBe(entries[1].after.apiKey);
  });

  test('holds nothing of a key in any reply or in any file of the store', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-audit-'));
    try {
      const started = await withHistory({ dataDir });
      expect((await admin(started, '/status', {}, 'a-wrong-admin-key-canary')).status).toBe(401);
      await until('it is on record', async () => (await actions(started)).length === 3);
      const replies = await Promise.all(
        ['/audit', '/audit/export', '/audit/export?format=csv', '/audit/verify'].map(async (path) =>
          (await admin(started, path)).text(),
        ),
      );
      await started.gateway.stop(0);
      const files = (await readdir(dataDir)).filter((name) => /^(swarmrouter\.db|audit-)/.test(name));
      expect(files.length).toBeGreaterThanOrEqual(4);
      const kept = await Promise.all(files.map((name) => readFile(join(dataDir, name), 'latin1')));
      for (const text of [...replies, ...kept]) expect(text).not.toContain('canary');
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  test('tells of a wrong admin key, and of a flood of them how many there were', async () => {
    const started = await gateway([], { usage: true });
    for (let tries = 0; tries < 25; tries++) {
      expect((await admin(started, '/status', {}, `wrong-${tries}`)).status).toBe(401);
    }
    // No login was tried.
    expect((await fetch(`${started.url}/admin/status`)).status).toBe(401);
    await until('ten are on record', async () => (await actions(started)).length === 10);
    const { entries } = await audit(started);
    expect(entries[0]).toMatchObject({
      actor: { kind: 'anyone', id: null },
      address: '127.0.0.1',
      action: 'admin.login',
      outcome: 'refused',
    });
    await started.gateway.stop(0);
    const db = new Database(join(started.dataDir, 'swarmrouter.db'), { readonly: true });
    const [summary] = db.query('select after_json from audit_entry where sequence = 11').all() as {
      after_json: string;
    }[];
    expect(JSON.parse(summary?.after_json ?? '')).toMatchObject({ left_out: 15, by_address: { '127.0.0.1': 15 } });
    db.close();
  });

  test('tells of a key that opens nothing any more, and of a request that its key does not allow', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-audit-'));
    try {
      const texts = await storeKeys(dataDir, {
        gone: { revokedAtMs: 1 },
        homely: { policies: { ...ANYTHING, places: ['local'] } },
      });
      const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }] });
      const started = await gateway([targetFor(local)], { dataDir });
      const ask = async (key: string | undefined, more: Record<string, string> = {}) =>
        (await started.chat('hi', { headers: { authorization: `Bearer ${key}`, ...more } })).status;
      const refused = [
        await ask(texts['gone'], { 'x-request-id': 'the-late-request' }),
        await ask('sk-canary-nobody-knows'),
        await ask(texts['homely'], { 'x-swarmrouter-place': 'cloud' }),
      ];
      expect(refused).toEqual([401, 401, 403]);
      // Not worth an entry: nobody came with anything, and what was allowed.
      expect((await started.chat('hi')).status).toBe(401);
      expect(await ask(texts['homely'])).toBe(200);
      await until('they are on record', async () => (await actions(started)).length === 3);
      const { entries } = await audit(started);
      expect(entries.toReversed()).toMatchObject([
        {
          actor: { kind: 'key', id: 'gone' },
          address: '127.0.0.1',
          request_id: 'the-late-request',
          action: 'key.use',
          subject: 'key:gone',
          after: { reason: 'revoked' },
          outcome: 'refused',
        },
        { actor: { kind: 'anyone', id: null }, subject: 'key:unknown', after: { reason: 'malformed' } },
        { action: 'policy.refuse', subject: 'key:homely', after: { reason: 'place_not_allowed' } },
      ]);
      expect(JSON.stringify(entries)).not.toContain('canary');
      for (const text of Object.values(texts)) expect(JSON.stringify(entries)).not.toContain(text);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  test('tells of a reload that somebody asked for, and of none that nobody did and that changed nothing', async () => {
    const local = await simulator({ kind: 'lm-studio' });
    const started = await gateway([targetFor(local)], { usage: true });
    expect((await admin(started, '/reload', { method: 'POST' })).status).toBe(200);
    expect(started.gateway.reload().ok).toBe(true);
    const { entries } = await audit(started);
    expect(entries).toMatchObject([
      { actor: { kind: 'admin' }, action: 'configuration.reload', after: { changed: [], needs_restart: [] } },
    ]);
  });

  test('is listed page by page, narrowed down, and a wrong parameter is told', async () => {
    const started = await withHistory();
    const first = await audit(started, '?limit=1');
    expect(first.entries.map(({ sequence }: { sequence: number }) => sequence)).toEqual([2]);
    const second = await audit(started, `?limit=1&cursor=${first.next_cursor}`);
    expect(second.entries.map(({ sequence }: { sequence: number }) => sequence)).toEqual([1]);
    expect(second.next_cursor).toBeNull();
    expect(await actions(started, '?action=provider.add')).toEqual(['provider.add allowed']);
    expect(await actions(started, '?action=provider.*&actor=admin:admin-key')).toHaveLength(2);
    expect(await actions(started, '?subject=provider:openrouter&from=2026-01-01')).toHaveLength(2);
    expect(await actions(started, '?to=2026-01-01')).toEqual([]);
    expect(await actions(started, '?actor=key')).toEqual([]);
    const wrong = ['?limit=0', '?cursor=x', '?actor=nobody', '?from=yesterday', '?colour=red', '?constructor=1'];
    for (const query of [...wrong, '?from=2026-12-02&to=2026-12-01', '/export?format=xls']) {
      const reply = await admin(started, `/audit${query}`);
      expect([query, reply.status, (await reply.json()).error.code]).toEqual([query, 400, 'invalid_query']);
    }
    for (const path of ['/audit', '/audit/export', '/audit/verify']) {
      expect((await fetch(`${started.url}/admin${path}`)).status).toBe(401);
    }
  });

  test('can be taken away as lines of JSON and as CSV', async () => {
    const started = await withHistory();
    const lines = (await run(started, 'audit', 'export')).out.trimEnd().split('\n');
    const records = lines.map((line) => JSON.parse(line));
    expect(records.map(({ sequence, action }) => `${sequence} ${action}`)).toEqual([
      '1 provider.add',
      '2 provider.remove',
    ]);
    expect(records[1].previous_hash).toBe(records[0].hash);
    const csv = await run(started, 'audit', 'export', '--format', 'csv', '--action', 'provider.add');
    const [heading, ...rows] = csv.out.trimEnd().split('\r\n');
    expect(heading).toStartWith('organisation,sequence,time,');
    expect(rows).toHaveLength(1);
    expect(await run(started, 'audit', 'export', '--from', 'once')).toMatchObject({ code: 2, out: '' });
  });

  test('is shown on the command line, and verified: code 0 for a good one, 1 and the entry for a bad one', async () => {
    const started = await withHistory();
    const listed = await run(started, 'audit');
    expect(listed).toMatchObject({ code: 0, error: '' });
    expect(listed.out).toMatch(/^2 .*admin admin-key +127\.0\.0\.1 +provider\.remove +provider:openrouter +allowed/m);
    const page = await run(started, 'audit', 'list', '--limit', '1');
    expect(page.out).toContain('--cursor 2');
    expect(JSON.parse((await run(started, 'audit', '--json')).out).entries).toHaveLength(2);
    const good = await run(started, 'audit', 'verify');
    expect(good).toMatchObject({ code: 0, error: '' });
    expect(good.out).toContain('2 entries');

    meddle(started, "update audit_entry set subject = 'provider:other' where sequence = 1");
    const bad = await run(started, 'audit', 'verify');
    expect(bad).toMatchObject({ code: 1, out: '' });
    expect(bad.error).toContain('changed, entry 1');
    const asJson = await run(started, 'audit', 'verify', '--json');
    expect(asJson.code).toBe(1);
    expect(JSON.parse(asJson.out)).toMatchObject({
      ok: false,
      entries: 0,
      first_bad: { sequence: 1, fault: 'changed' },
    });
  });

  test('shows of a change the fields that differ, and one entry whole', async () => {
    const started = await withHistory();
    const created = await run(started, 'keys', 'create', '--name', 'hb', '--rpm', '60', '--json');
    const { id } = JSON.parse(created.out);
    expect((await run(started, 'keys', 'update', 'hb', '--name', 'hb2', '--rpm', '120')).code).toBe(0);
    const listed = await run(started, 'audit', '--action', 'key.update');
    expect(listed.out).toContain(`key:${id} (hb2)`);
    expect(listed.out).toContain('name: "hb" → "hb2"');
    expect(listed.out).toContain('limits.rpm: 60 → 120');
    expect(listed.out).not.toContain('default');
    const one = await run(started, 'audit', 'show', '4');
    expect(one).toMatchObject({ code: 0, error: '' });
    expect(one.out).toMatch(/^entry +4\n/);
    expect(one.out).toMatch(/change +name: "hb" → "hb2"\n +limits\.rpm: 60 → 120/);
    const asJson = JSON.parse((await run(started, 'audit', 'show', '4', '--json')).out);
    expect(asJson).toMatchObject({ sequence: 4, before: { name: 'hb' }, after: { name: 'hb2' } });
    expect(await run(started, 'audit', 'show', '99')).toMatchObject({
      ...{ code: 1, out: '' },
      error: expect.stringContaining('There is no entry 99.'),
    });
    expect((await run(started, 'audit', 'show', 'first')).code).toBe(2);
  });

  test('goes on after a restart, and what was cut off while the gateway was down is found', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-audit-'));
    try {
      const before = await withHistory({ dataDir });
      await before.gateway.stop(0);
      const after = await withHistory({ dataDir });
      expect(await (await admin(after, '/audit/verify')).json()).toMatchObject({ ok: true, entries: 4 });
      await after.gateway.stop(0);
      meddle(after, 'delete from audit_entry where sequence > 3');
      meddle(after, 'update audit_end set sequence = 3, hash = (select hash from audit_entry where sequence = 3)');
      const last = await gateway([], { usage: true, dataDir });
      const { ok, first_bad } = await (await admin(last, '/audit/verify')).json();
      expect([ok, first_bad.sequence, first_bad.fault]).toEqual([false, 4, 'cut off']);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  test('a provider is neither added nor removed while nothing can be put on record; requests go on', async () => {
    const started = await withHistory();
    const db = new Database(join(started.dataDir, 'swarmrouter.db'));
    db.run("create trigger nothing_more before insert on audit_entry begin select raise(abort, 'no more'); end");
    db.close();
    const body = JSON.stringify({ type: 'openrouter', api_key: KEY });
    const reply = await admin(started, '/overflow_provider', { method: 'POST', body });
    expect([reply.status, (await reply.json()).error.code]).toEqual([500, 'not_recorded']);
    expect((await (await admin(started, '/overflow_provider')).json()).providers).toEqual([]);
    expect((await started.chat('hello')).status).toBe(200);
    expect((await admin(started, '/reload', { method: 'POST' })).status).toBe(200);
    const log = () => readFileSync(join(started.dataDir, 'log.jsonl'), 'utf8');
    await until('the log says so', () => log().includes('a reload could not be put on the audit log'));
  });

  test('is not kept without a store, and the reply says when it is', async () => {
    const started = await gateway([]);
    expect((await admin(started, '/status', {}, 'wrong')).status).toBe(401);
    for (const path of ['/audit', '/audit/export', '/audit/verify']) {
      const reply = await admin(started, path);
      const { error } = await reply.json();
      expect([reply.status, error.code]).toEqual([404, 'audit_not_kept']);
      expect(error.message).toContain('SWARMROUTER_USAGE=true');
    }
    expect((await run(started, 'audit', 'verify')).code).toBe(1);
    expect((await readdir(started.dataDir)).filter((name) => name.startsWith('audit'))).toEqual([]);
  });
});
