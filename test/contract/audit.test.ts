import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { sql } from 'kysely';
import { keyHasher } from '../../src/admission/key-hash.ts';
import type { AuditEvent, AuditFilter, AuditRecord } from '../../src/core/audit.ts';
import { Secret } from '../../src/core/secret.ts';
import { type AuditLog, openAuditLog } from '../../src/stores/audit-log.ts';
import { recordedPrices } from '../../src/stores/recorded-prices.ts';
import { PriceRepository } from '../../src/stores/sql/repositories/prices.ts';
import type { SqlStore } from '../../src/stores/sql/sql-store.ts';
import { ManualClock } from '../support/manual-clock.ts';
import type { AuditTask } from './audit-process.ts';
import { backends, openAt, type StorePlace } from './store-support.ts';

/** Half as often as those that write the ledger; more by flag. */
const KILLS = Math.ceil(Number(process.env['SWARMROUTER_TEST_KILLS'] ?? 20) / 2);
const all = await backends();
afterAll(() => Promise.all(all.map((backend) => backend.end())));

const event = (changes: Partial<AuditEvent> = {}): AuditEvent => ({
  origin: { actor: { kind: 'admin', id: 'admin-key' }, peerAddress: '10.0.0.7', requestId: 'req_1' },
  action: 'key.create',
  subject: 'key:key_1',
  ...changes,
});
const EVERYTHING: AuditFilter = {
  organisationId: 'default',
  fromMs: null,
  toMs: null,
  actor: null,
  action: null,
  subject: null,
};

describe.each(all.map((backend) => [backend.name, backend] as const))('S-20 the audit log in %s', (_, backend) => {
  let place: StorePlace;
  let dataDir: string;
  let clock: ManualClock;
  let store: SqlStore;
  let audit: AuditLog;
  let logged: string[];
  beforeEach(async () => {
    place = await backend.place();
    dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-audit-'));
    clock = new ManualClock();
    logged = [];
    store = await openAt(place);
    audit = await open(store);
  });
  afterEach(async () => {
    await store.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  const open = (on: SqlStore, folder = dataDir, seal?: (text: string) => string) => {
    const note = (_fields: object, message: string): void => void logged.push(message);
    const logger = { debug: note, info: note, warn: note, error: note };
    return openAuditLog({ db: on.db, dataDir: folder, clock, logger, ...(seal === undefined ? {} : { seal }) });
  };
  const entries = async (filter: Partial<AuditFilter> = {}, of = audit): Promise<AuditRecord[]> => {
    const found: AuditRecord[] = [];
    for await (const record of of.export({ ...EVERYTHING, ...filter })) found.push(record);
    return found;
  };
  const recorded = async (count: number): Promise<void> => {
    for (let index = 1; index <= count; index++) await audit.record(event({ subject: `key:${index}` }));
  };
  const verdict = async (of = audit) => {
    const { ok, firstBad } = await of.verify('default');
    return ok ? 'good' : `${firstBad?.fault} ${firstBad?.sequence}`;
  };
  /** What somebody can do who may write to the database. */
  const meddle = async (...statements: string[]): Promise<void> => {
    for (const statement of [...unfreezing(store), ...statements]) await sql.raw(statement).execute(store.db);
  };

  test('says who did what from where, and what it was before and after', async () => {
    await clock.advance(5_000);
    await audit.record(event({ before: { rpm: 60 }, after: { rpm: 120 } }));
    await audit.record({
      origin: { actor: { kind: 'anyone', id: null }, peerAddress: null, requestId: null },
      action: 'admin.login',
      subject: 'admin',
      outcome: 'refused',
    });
    const [first, second] = await entries();
    expect(first).toMatchObject({
      sequence: 1,
      atMs: clock.wallMs(),
      actorKind: 'admin',
      actorId: 'admin-key',
      peerAddress: '10.0.0.7',
      requestId: 'req_1',
      action: 'key.create',
      subject: 'key:key_1',
      before: '{"rpm":60}',
      after: '{"rpm":120}',
      outcome: 'allowed',
    });
    expect(second).toMatchObject({ sequence: 2, actorId: null, before: null, after: null, outcome: 'refused' });
    expect(second?.previousHash).toBe(first?.hash ?? '');
    expect(await audit.verify('default')).toMatchObject({ ok: true, entries: 2, end: { sequence: 2 } });
  });

  test('keeps of a secret a fingerprint: the same for the same one, wherever it stands', async () => {
    const canary = 'sk-canary-0123456789';
    await audit.record(event({ after: { api_key: new Secret(canary), list: [{ key: new Secret(canary) }] } }));
    await audit.record(event({ before: new Secret(canary), after: new Secret('sk-other-0123456789') }));
    const [first, second] = (await entries()) as [AuditRecord, AuditRecord];
    const { api_key: fingerprint, list } = JSON.parse(first.after ?? '');
    expect(fingerprint).toMatch(/^fingerprint:[0-9a-f]{12}$/);
    expect(list).toEqual([{ key: fingerprint }]);
    expect(JSON.parse(second.before ?? '')).toBe(fingerprint);
    expect(JSON.parse(second.after ?? '')).not.toBe(fingerprint);
    expect(JSON.stringify([first, second])).not.toContain('canary');
  });

  test('takes whatever text comes, and verifies it as it was kept', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.constant('\0\ud800'),
      fc.constant('x'.repeat(30_000)),
    );
    await fc.assert(
      fc.asyncProperty(text, text, fc.jsonValue(), async (subject, id, after) => {
        const origin = { actor: { kind: 'key', id }, peerAddress: subject, requestId: id } as const;
        await audit.record(event({ origin, subject, after, before: subject }));
      }),
      { numRuns: 40 },
    );
    expect(await verdict()).toBe('good');
    expect((await entries()).every(({ before }) => (before?.length ?? 0) < 20_000)).toBe(true);
  });

  test('has an entry if and only if the change of its transaction happened', async () => {
    const change = (projectId: string, fails: boolean) =>
      store.db.transaction().execute(async (transaction) => {
        await transaction
          .insertInto('project')
          .values({ organisation_id: 'default', project_id: projectId, name: projectId, created_at_ms: 0 })
          .execute();
        await audit.append(transaction, event({ action: 'project.create', subject: `project:${projectId}` }));
        if (fails) throw new Error('changed its mind');
      });
    await change('one', false);
    await change('two', true).catch(() => undefined);
    await change('three', false);
    const projects = await store.db.selectFrom('project').select('project_id').orderBy('project_id').execute();
    expect(projects.map(({ project_id }) => project_id)).toEqual(['default', 'one', 'three']);
    expect((await entries()).map(({ sequence, subject }) => `${sequence} ${subject}`)).toEqual([
      '1 project:one',
      '2 project:three',
    ]);
    expect(await verdict()).toBe('good');
  });

  test('has an entry of each price that was set or removed, and of none where its entry could not be written', async () => {
    const prices = recordedPrices(store.db, audit);
    const known = async () => (await new PriceRepository(store.db).all()).map(({ rates }) => rates);
    const price = {
      organisationId: 'default',
      provider: null,
      model: 'm',
      rates: { model: 'm' },
      updatedAtMs: 1,
      revision: 1,
    };
    await prices.set(price, event({ action: 'price.add' }));
    const unwritable: AuditEvent = {
      ...event(),
      get after(): never {
        throw new Error('it cannot be put into words');
      },
    };
    const refused = (change: Promise<void>) => change.then(() => 'done', String);
    expect(await refused(prices.set({ ...price, rates: {}, revision: 2 }, unwritable))).toContain('into words');
    expect(await refused(prices.remove(price, unwritable))).toContain('into words');
    expect([await known(), (await entries()).map(({ action }) => action)]).toEqual([[{ model: 'm' }], ['price.add']]);
    await prices.remove(price, event({ action: 'price.remove' }));
    expect([await known(), (await entries()).length, await verdict()]).toEqual([[], 2, 'good']);
  });

  test('has a chain without a gap for each organisation, however many append at once', async () => {
    const another = await openAt(place);
    const logs = [audit, await open(another)];
    await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        (logs[index % 2] as AuditLog).record(event({ organisationId: index % 3 === 0 ? 'other' : 'default' })),
      ),
    );
    expect((await entries()).map(({ sequence }) => sequence)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    expect((await entries({ organisationId: 'other' })).map(({ sequence }) => sequence)).toHaveLength(20);
    expect([await verdict(), (await audit.verify('other')).ok, (await audit.verify('nobody')).ok]).toEqual([
      'good',
      true,
      true,
    ]);
    await another.close();
  });

  test('keeps its chain while several processes append to it', async () => {
    const count = 150;
    const processes = ['one', 'two'].map((name) => startProcess({ place, dataDir, name, count }));
    for (const { stdout } of processes) await stdout.getReader().read();
    for (const { stdin } of processes) {
      stdin.write('go\n');
      stdin.end();
    }
    expect(await Promise.all(processes.map(({ exited }) => exited))).toEqual([0, 0]);
    expect(await audit.verify('default')).toMatchObject({ ok: true, entries: 2 * count });
    const each = await Promise.all(['one', 'two'].map((id) => entries({ actor: { kind: 'admin', id } })));
    expect(each.map(({ length }) => length)).toEqual([count, count]);
  }, 60_000);

  test(`has an entry for each change and a change for each entry, however often the process is killed (${KILLS} times)`, async () => {
    const promised: string[] = [];
    for (let kill = 0; kill < KILLS; kill++) {
      const child = startProcess({ place, dataDir, name: `process ${kill}`, count: null });
      let seen = 0;
      for await (const line of lines(child.stdout)) {
        if (line === 'ready') child.stdin.write('go\n');
        else promised.push(line);
        // Each time somewhere else.
        if (++seen > 2 + kill * 3) child.kill('SIGKILL');
      }
      await child.exited;
    }
    const projects = await store.db.selectFrom('project').select('project_id').where('created_at_ms', '=', 0).execute();
    const changed = projects.map(({ project_id }) => `project:${project_id}`).filter((id) => id !== 'project:default');
    expect(new Set((await entries()).map(({ subject }) => subject))).toEqual(new Set(changed));
    expect(promised.filter((id) => !changed.includes(`project:${id}`))).toEqual([]);
    expect(promised.length).toBeGreaterThan(KILLS);
    expect(await verdict()).toBe('good');
  }, 120_000);

  test('is listed newest first, page by page, and narrowed down', async () => {
    for (let index = 1; index <= 7; index++) {
      await clock.advance(1_000);
      await audit.record(event({ action: index % 2 === 0 ? 'key.revoke' : 'keyring.open', subject: `key:${index}` }));
    }
    const listed: number[][] = [];
    for (let before: number | null = null; ; ) {
      const page = await audit.list({ ...EVERYTHING, limit: 3, beforeSequence: before });
      listed.push(page.entries.map(({ sequence }) => sequence));
      before = page.nextBefore;
      if (before === null) break;
    }
    expect(listed).toEqual([[7, 6, 5], [4, 3, 2], [1]]);
    const numbers = async (filter: Partial<AuditFilter>) => (await entries(filter)).map(({ sequence }) => sequence);
    expect(await numbers({ action: 'key.revoke' })).toEqual([2, 4, 6]);
    expect(await numbers({ action: 'key.*' })).toEqual([2, 4, 6]);
    expect(await numbers({ action: 'KEY*' })).toEqual([]);
    expect(await numbers({ action: 'key*' })).toHaveLength(7);
    expect(await numbers({ action: '%' })).toEqual([]);
    expect(await numbers({ subject: 'key:3' })).toEqual([3]);
    expect(await numbers({ actor: { kind: 'admin', id: null } })).toHaveLength(7);
    expect(await numbers({ actor: { kind: 'admin', id: 'other' } })).toEqual([]);
    expect(await numbers({ actor: { kind: 'system', id: null } })).toEqual([]);
    const atMs = clock.wallMs();
    expect(await numbers({ fromMs: atMs - 2_000, toMs: atMs })).toEqual([5, 6]);
    expect(await numbers({ organisationId: 'other' })).toEqual([]);
  });

  test('cannot be changed or deleted by any code of ours', async () => {
    await recorded(1);
    await audit.close();
    for (const table of ['audit_entry', 'audit_checkpoint'] as const) {
      const deletion = store.db.deleteFrom(table).execute();
      expect(await messageOf(deletion)).toContain('the audit log never changes');
      const change = store.db.updateTable(table).set({ hash: 'x' }).execute();
      expect(await messageOf(change)).toContain('the audit log never changes');
    }
    if (store.dialect === 'sqlite') return;
    expect(await messageOf(sql`truncate audit_entry`.execute(store.db))).toContain('the audit log never changes');
  });

  test('is found out whichever column of whichever entry is changed, and named', async () => {
    await recorded(9);
    await meddle();
    const columns = [
      'at_ms',
      'actor_kind',
      'actor_id',
      'peer_address',
      'request_id',
      'action',
      'subject',
      'after_json',
    ];
    const rest = ['before_json', 'outcome', 'previous_hash', 'hash'];
    for (const [index, column] of [...columns, ...rest].entries()) {
      const sequence = (index % 9) + 1;
      const [row] = await store.db.selectFrom('audit_entry').selectAll().where('sequence', '=', sequence).execute();
      const was = (row as Record<string, unknown>)[column];
      const other = column === 'outcome' ? 'refused' : column === 'at_ms' ? 5 : 'meddled';
      const set = async (value: unknown) =>
        sql`update audit_entry set ${sql.ref(column)} = ${value} where sequence = ${sequence}`.execute(store.db);
      await set(other);
      expect(`${column}: ${await verdict()}`).toBe(`${column}: changed ${sequence}`);
      await set(was);
      expect(await verdict()).toBe('good');
    }
  });

  test('is found out when an entry is taken out, moved, put in or cut off', async () => {
    await recorded(9);
    await audit.close();
    await meddle('create table kept as select * from audit_entry', 'create table kept_end as select * from audit_end');
    const after = async (...statements: string[]): Promise<string> => {
      for (const statement of statements) await sql.raw(statement).execute(store.db);
      const found = await verdict();
      for (const table of ['audit_entry', 'audit_end']) {
        await sql.raw(`delete from ${table}`).execute(store.db);
        await sql
          .raw(`insert into ${table} select * from ${table.replace('audit_', 'kept_').replace('kept_entry', 'kept')}`)
          .execute(store.db);
      }
      expect(await verdict()).toBe('good');
      return found;
    };
    expect(await after('delete from audit_entry where sequence = 4')).toBe('missing 4');
    const renumber = 'update audit_entry set sequence = -sequence where sequence > 4';
    const closeUp = 'update audit_entry set sequence = -sequence - 1 where sequence < 0';
    expect(await after('delete from audit_entry where sequence = 4', renumber, closeUp)).toBe('reordered 4');
    expect(
      await after(
        'update audit_entry set sequence = 100 where sequence = 3',
        'update audit_entry set sequence = 3 where sequence = 6',
        'update audit_entry set sequence = 6 where sequence = 100',
      ),
    ).toBe('reordered 3');
    const forged = `insert into audit_entry select organisation_id, 10, at_ms, actor_kind, actor_id, peer_address,
      request_id, action, subject, before_json, after_json, outcome, previous_hash, hash from kept where sequence = 9`;
    expect(await after(forged)).toBe('added 10');
    expect(await after('delete from audit_entry where sequence > 7')).toBe('cut off 8');
    // With the end set back it takes the checkpoint to know.
    const setBack = 'update audit_end set sequence = 7, hash = (select hash from audit_entry where sequence = 7)';
    expect(await after('delete from audit_entry where sequence > 7', setBack)).toBe('cut off 8');
    expect(await after('delete from audit_entry', 'delete from audit_end')).toBe('cut off 1');
  });

  test('is found out when the tail, the end and all checkpoints in the database are gone: one is kept outside', async () => {
    await recorded(5);
    await audit.close();
    const setBack = 'update audit_end set sequence = 3, hash = (select hash from audit_entry where sequence = 3)';
    await meddle('delete from audit_entry where sequence > 3', setBack, 'delete from audit_checkpoint');
    expect(await verdict()).toBe('cut off 4');
    // What is written after it must not wipe the proof away.
    await recorded(4);
    await audit.close();
    expect(logged).toContain('the audit log is not what it was; GET /admin/audit/verify tells where');
    expect(await verdict()).toBe('changed 1');
    // Whoever accepts it (an older backup was put back on purpose) says so.
    await rm(join(dataDir, 'audit-anchors.json'));
    expect(await verdict()).toBe('good');
  });

  test('is anchored outside the database a second after an entry, and signed in it at each hundred and at the close', async () => {
    await recorded(1);
    const anchors = join(dataDir, 'audit-anchors.json');
    expect(await messageOf(stat(anchors))).toContain('ENOENT');
    await clock.advance(1_000);
    await untilThere(anchors);
    expect(JSON.parse(await readFile(anchors, 'utf8')).anchors).toMatchObject([
      { organisationId: 'default', sequence: 1 },
    ]);
    await recorded(110);
    await audit.close();
    const checkpoints = await store.db.selectFrom('audit_checkpoint').select('sequence').orderBy('sequence').execute();
    expect(checkpoints.map(({ sequence }) => sequence)).toEqual([100, 111]);
    expect(await audit.verify('default')).toMatchObject({ ok: true, entries: 111, checkpoints: 3 });
    if (process.platform === 'win32') return;
    for (const file of ['audit-signing-key', 'audit-public-keys', 'audit-anchors.json']) {
      expect(((await stat(join(dataDir, file))).mode & 0o777).toString(8)).toBe('600');
    }
  });

  test('S-18 holds the chain of each organisation against its own anchor and checkpoints alone', async () => {
    for (let round = 1; round <= 2; round++) {
      for (const organisationId of ['one', 'two']) await audit.record(event({ organisationId }));
      // Anchors what was written, if it still stands on the anchor before it, and signs it.
      await audit.close();
    }
    expect(logged).toEqual([]);
    const { anchors } = JSON.parse(await readFile(join(dataDir, 'audit-anchors.json'), 'utf8'));
    expect(anchors).toMatchObject([
      { organisationId: 'one', sequence: 2 },
      { organisationId: 'two', sequence: 2 },
    ]);
    for (const organisationId of ['one', 'two']) {
      expect(await audit.verify(organisationId)).toMatchObject({ ok: true, entries: 2, checkpoints: 3 });
    }
  });

  test('keeps what an older key signed good, and trusts no key that is not listed', async () => {
    await recorded(2);
    await audit.close();
    await rm(join(dataDir, 'audit-signing-key'));
    const renewed = await open(store);
    expect(await verdict(renewed)).toBe('good');
    await renewed.record(event());
    await renewed.close();
    expect(await verdict(renewed)).toBe('good');
    const elsewhere = await mkdtemp(join(tmpdir(), 'swarmrouter-audit-'));
    const stranger = await open(store, elsewhere);
    expect(await verdict(stranger)).toBe('bad checkpoint 2');
    await writeFile(join(elsewhere, 'audit-public-keys'), await readFile(join(dataDir, 'audit-public-keys'), 'utf8'));
    expect(await verdict(await open(store, elsewhere))).toBe('good');
    await rm(elsewhere, { recursive: true });
  });

  test('S-20 several gateways with one pepper trust each other’s keys, and nobody’s who has it not', async () => {
    const [seal, another] = [keyHasher(new Secret('5e'.repeat(32))), keyHasher(new Secret('6f'.repeat(32)))];
    const folders = await Promise.all(['one', 'two', 'three'].map(() => mkdtemp(join(tmpdir(), 'swarmrouter-audit-'))));
    const [first = '', second = '', third = ''] = folders;
    const one = await open(store, first, seal);
    await one.record(event());
    await one.close();
    const two = await open(store, second, seal);
    expect(await verdict(two)).toBe('good');
    await two.record(event());
    await two.close();
    expect(await verdict(one)).toBe('good');
    // With another pepper, as somebody who can write to the database alone would have.
    const stranger = await open(store, third, another);
    expect(await verdict(stranger)).toBe('bad checkpoint 1');
    await stranger.record(event());
    await stranger.close();
    expect(await verdict(two)).toBe('bad checkpoint 3');
    // What was trusted once is remembered outside the database.
    expect((await readFile(join(first, 'audit-public-keys'), 'utf8')).trim().split('\n')).toHaveLength(3);
    await Promise.all(folders.map((folder) => rm(folder, { recursive: true })));
  });

  test('says which file of its keys is wrong, and what to do', async () => {
    const wrong = async (file: string, text: string): Promise<string> => {
      const path = join(dataDir, file);
      const good = await readFile(path, 'utf8').catch(() => null);
      await writeFile(path, text);
      const message = await messageOf(open(store).then((log) => log.verify('default')));
      if (good === null) await rm(path);
      else await writeFile(path, good);
      expect(message).toContain(path);
      return message;
    };
    expect(await wrong('audit-signing-key', 'no key')).toContain('Put it back from a backup, or delete it');
    expect(await wrong('audit-public-keys', 'no key')).toContain('Correct it or take it out');
    expect(await wrong('audit-anchors.json', '{}')).toContain('delete it');
    expect(await wrong('audit-anchors.json', '{"anchors":[{"sequence":0}]}')).toContain('delete it');
  });
});

function startProcess(task: AuditTask) {
  const cmd = [process.execPath, join(import.meta.dir, 'audit-process.ts'), JSON.stringify(task)];
  return Bun.spawn({ cmd, stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' });
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    yield* parts;
  }
}

async function messageOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => '',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}

/** The file is written on the event loop's own time, which the manual clock does not move. */
async function untilThere(path: string): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if ((await messageOf(stat(path))) === '') return;
    await Bun.sleep(5);
  }
  throw new Error(`${path} was not written`);
}

function unfreezing({ dialect }: SqlStore): string[] {
  const tables = ['audit_entry', 'audit_checkpoint'];
  if (dialect === 'sqlite') {
    return tables.flatMap((table) => [`drop trigger ${table}_no_update`, `drop trigger ${table}_no_delete`]);
  }
  return tables.map((table) => `alter table ${table} disable trigger all`);
}
