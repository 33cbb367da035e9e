import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import { RunTimeRouting } from '../../src/config/run-time-routing.ts';
import type { AuditEvent } from '../../src/core/audit.ts';
import { RevisionConflict } from '../../src/core/key-store.ts';
import type { KeptAlias, KeptRoute } from '../../src/core/routing.ts';
import { type AuditLog, openAuditLog } from '../../src/stores/audit-log.ts';
import { recordedRouting } from '../../src/stores/recorded-routing.ts';
import type { SqlStore } from '../../src/stores/sql/sql-store.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { backends, openAt, type StorePlace } from './store-support.ts';

const all = await backends();
afterAll(() => Promise.all(all.map((backend) => backend.end())));

const origin = { actor: { kind: 'admin', id: 'admin-key' }, peerAddress: null, requestId: null } as const;
const event = (deed: string): AuditEvent => ({ origin, action: `alias.${deed}`, subject: 'alias:x' });
const alias = (revision: number, target: string): KeptAlias => ({ name: 'Fast', target, revision, updatedAtMs: 7 });
const NOTHING = { strategy: null, streamRecovery: null, maxFirstTokenMs: null };
const route = (revision: number, changes: Partial<KeptRoute['settings']> = {}): KeptRoute => ({
  ...{ name: 'quick', settings: { ...NOTHING, ...changes }, revision, updatedAtMs: 8 },
});
/** What it came to. */
const outcome = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: unknown) => (error instanceof RevisionConflict ? 'conflict' : String(error)),
  );

describe.each(all.map((backend) => [backend.name, backend] as const))('aliases and routes in %s', (_, backend) => {
  let place: StorePlace;
  let dataDir: string;
  let store: SqlStore;
  let audit: AuditLog;
  const errors: string[] = [];
  const note = (): void => undefined;
  const logger = { debug: note, info: note, warn: note, error: (_: object, text: string) => void errors.push(text) };
  beforeEach(async () => {
    errors.length = 0;
    place = await backend.place();
    dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-kept-routing-'));
    store = await openAt(place);
    audit = await openAuditLog({ db: store.db, dataDir, clock: new ManualClock(), logger });
  });
  afterEach(async () => {
    await audit.close();
    await store.close();
    await rm(dataDir, { recursive: true, force: true });
  });
  const kept = () => recordedRouting(store.db, audit);
  const actions = async () => {
    const everything = { fromMs: null, toMs: null, actor: null, action: null, subject: null, beforeSequence: null };
    const { entries } = await audit.list({ ...everything, organisationId: 'default', limit: 100 });
    return entries.map(({ action }) => action).reverse();
  };

  test('are what was written last, and still are when the store is opened again', async () => {
    await kept().setAlias(alias(1, 'small'), event('set'));
    await kept().setAlias(alias(2, 'large'), event('set'));
    await kept().setRoute(route(1, { strategy: 'fastest', streamRecovery: true, maxFirstTokenMs: 5 }), event('set'));
    const another = await openAt(place);
    expect(await recordedRouting(another.db, audit).all()).toEqual({
      aliases: [alias(2, 'large')],
      routes: [route(1, { strategy: 'fastest', streamRecovery: true, maxFirstTokenMs: 5 })],
    });
    await another.close();
    await kept().removeAlias(alias(2, 'large'), event('remove'));
    await kept().removeRoute(route(1), event('remove'));
    expect(await kept().all()).toEqual({ aliases: [], routes: [] });
  });

  test('are changed by the first of two who saw the same; the other leaves neither a change nor an entry', async () => {
    const first = alias(1, 'small');
    const made = [outcome(kept().setAlias(first, event('set'))), outcome(kept().setAlias(first, event('set')))];
    expect((await Promise.all(made)).toSorted()).toEqual(['conflict', 'done']);
    await kept().setRoute(route(1), event('set'));
    for (const late of [
      () => kept().setAlias(alias(3, 'x'), event('set')),
      () => kept().removeAlias(alias(2, 'x'), event('remove')),
      () => kept().setRoute(route(1), event('set')),
      () => kept().setRoute(route(3), event('set')),
      () => kept().removeRoute(route(2), event('remove')),
    ]) {
      expect(await outcome(late())).toBe('conflict');
    }
    expect(await kept().all()).toEqual({ aliases: [first], routes: [route(1)] });
    expect(await actions()).toEqual(['alias.set', 'alias.set']);
  });

  test('take all of several changes at once that ask for no certain revision, whichever gateway makes them', async () => {
    const loaded = loadConfig({ flags: {}, environment: {}, directory: dataDir });
    if (!loaded.ok) throw new Error('the settings are refused');
    const gateway = () =>
      new RunTimeRouting({ configured: () => loaded.config, store: async () => kept(), wallMs: () => 9, logger });
    const gateways = [gateway(), gateway(), gateway()];
    const change = { revision: null, origin };
    const outcomes = await Promise.all(
      gateways.flatMap((each, at) => [
        outcome(each.setAlias('Fast', { target: `model-${at}` }, change)),
        outcome(each.setRoute('quick', { max_first_token_ms: 100 + at }, change)),
      ]),
    );
    expect(outcomes).toEqual(Array(6).fill('done'));
    expect(await kept().all()).toMatchObject({ aliases: [{ revision: 3 }], routes: [{ revision: 3 }] });
    const same = { revision: 3, origin };
    const removed = gateways.map((each) => outcome(each.removeAlias('Fast', same)));
    expect(new Set(await Promise.all(removed))).toEqual(new Set(['done', 'conflict']));
  });

  test('that this version cannot use are left out, said, and can be set anew', async () => {
    await kept().setRoute(route(1, { strategy: 'of-another-version' }), event('set'));
    const loaded = loadConfig({ flags: {}, environment: {}, directory: dataDir });
    if (!loaded.ok) throw new Error('the settings are refused');
    const routing = new RunTimeRouting({
      ...{ configured: () => loaded.config, store: async () => kept(), wallMs: () => 9, logger },
    });
    await routing.refresh(() => kept().all());
    expect([routing.under().routes.has('quick'), errors]).toEqual([false, ['a kept route cannot be used']]);
    const set = await routing.setRoute('quick', { strategy: 'fastest' }, { revision: null, origin });
    expect(set).toMatchObject({ ok: true, value: { item: { revision: 2 } } });
    expect(routing.under().routes.get('quick')?.strategy).toBe('fastest');
  });
});
