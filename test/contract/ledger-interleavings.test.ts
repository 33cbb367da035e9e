import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { Clock } from '../../src/core/clock.ts';
import {
  BudgetExceeded,
  type EndState,
  type LedgerStore,
  LedgerUnavailable,
  StoreUnavailable,
} from '../../src/core/ledger.ts';
import type { Logger } from '../../src/core/logger.ts';
import { BudgetRepository } from '../../src/stores/sql/repositories/budgets.ts';
import { TenantRepository } from '../../src/stores/sql/repositories/tenants.ts';
import { verifyLedger } from '../../src/stores/sql/repositories/verify.ts';
import type { SqlStore } from '../../src/stores/sql/sql-store.ts';
import { GroupLedger } from '../../src/usage/ledger/group-ledger.ts';
import { endOf, NOON_MS, openAt, startOf } from './store-support.ts';

const silent = (): void => undefined;
const logger: Logger = { debug: silent, info: silent, warn: silent, error: silent };

let folder: string;
let store: SqlStore;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'swarmrouter-interleavings-'));
  store = await openAt({ dataDir: folder });
});
afterAll(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

interface Call {
  readonly hard: boolean;
  readonly reserved: number;
  readonly state: EndState;
  readonly cost: number;
}

/**
 * What befalls a commit. `before`: the store does not take it · `after`: it does, and the connection breaks before it
 * says so · `fenced`: another process has just taken this one for dead.
 */
type Trouble = 'none' | 'before' | 'after' | 'fenced';

const calls = fc.array(
  fc.record<Call>({
    hard: fc.boolean(),
    reserved: fc.integer({ min: 0, max: 40 }),
    state: fc.constantFrom<EndState>('settled', 'settled', 'voided', 'unknown'),
    cost: fc.integer({ min: 0, max: 50 }),
  }),
  { minLength: 1, maxLength: 12 },
);
const troubles = fc.array(fc.constantFrom<Trouble>('none', 'none', 'before', 'after', 'fenced'), { maxLength: 12 });

/** Time goes on with whatever timer the scheduler picks. */
function scheduledClock(scheduler: fc.Scheduler): Clock {
  let nowMs = 0;
  return {
    nowMs: () => nowMs,
    wallMs: () => NOON_MS + nowMs,
    after(delayMs, run) {
      let isCancelled = false;
      // The threads of the store have their say in between: their answers come over the event loop.
      const soon = new Promise((resolve) => setImmediate(resolve));
      void scheduler.schedule(soon, `a timer of ${delayMs} ms`).then(() => {
        if (isCancelled) return;
        nowMs += delayMs;
        run();
      });
      return () => {
        isCancelled = true;
      };
    },
  };
}

function troubled(scheduler: fc.Scheduler, left: Trouble[]): LedgerStore {
  return {
    async commit(ownerId, operations) {
      await scheduler.schedule(Promise.resolve(), `a commit of ${operations.length}`);
      const trouble = left.shift() ?? 'none';
      if (trouble === 'before') throw new StoreUnavailable('locked', 'it is locked');
      if (trouble === 'fenced') await store.resolveOrphans(ownerId, NOON_MS);
      const results = await store.commit(ownerId, operations);
      await scheduler.schedule(Promise.resolve(), 'its answer');
      if (trouble === 'after') throw new StoreUnavailable('gone', 'the connection broke');
      return results;
    },
    owners: () => store.owners(),
    resolveOrphans: (...orphans) => store.resolveOrphans(...orphans),
  };
}

type Fate = EndState | 'refused' | 'unavailable';

async function makeCall(ledger: GroupLedger, call: Call, id: string, turn: () => Promise<void>): Promise<Fate> {
  const organisationId = id.slice(0, id.indexOf('/'));
  const start = startOf(id, {
    payer: { organisationId, projectId: 'p', keyId: null },
    reservedNanoUsd: call.reserved,
  });
  await turn();
  try {
    const entry = call.hard ? await ledger.reserve(start) : ledger.begin(start);
    await turn();
    await entry.end(endOf({ state: call.state, costNanoUsd: call.cost }));
    return call.state;
  } catch (error) {
    if (error instanceof BudgetExceeded) return 'refused';
    if (error instanceof LedgerUnavailable) return 'unavailable';
    throw error;
  }
}

async function prepare(organisationId: string): Promise<void> {
  const tenants = new TenantRepository(store.db);
  await tenants.createOrganisation({ organisationId, name: organisationId, createdAtMs: 0 });
  await tenants.createProject({ organisationId, projectId: 'p', name: 'p', createdAtMs: 0 });
  const budget = { budgetId: 'b', scope: 'project', scopeId: 'p', window: 'day', unit: 'usd', limit: 100 } as const;
  await new BudgetRepository(store.db).create({ ...budget, organisationId, hard: true, createdAtMs: 0 });
}

/** What may be on record of a call that its caller was told this of; null: nothing. */
function possible(fate: Fate, wasFenced: boolean): (string | null)[] {
  // A process that was taken for dead: what was open then is unknown, and stays so.
  const resolved = wasFenced ? ['unknown'] : [];
  if (fate === 'refused') return [null, ...resolved];
  return fate === 'unavailable' ? [null, 'voided', ...resolved] : [fate, ...resolved];
}

let runs = 0;
async function play(scheduler: fc.Scheduler, all: readonly Call[], coming: readonly Trouble[]): Promise<void> {
  const organisationId = `o${runs++}`;
  await prepare(organisationId);
  let owners = 0;
  const journalFolder = await mkdtemp(join(folder, 'spill-'));
  const left = [...coming];
  const ledger = new GroupLedger({
    store: troubled(scheduler, left),
    clock: scheduledClock(scheduler),
    logger,
    journalFolder,
    newOwnerId: () => `${organisationId} owner ${owners++}`,
    reserveWaitMs: 0,
  });
  const turn = (): Promise<void> => scheduler.schedule(Promise.resolve(), 'a turn');
  const idOf = (index: number): string => `${organisationId}/${index}`;
  const toTheEnd = async (): Promise<Fate[]> => {
    const fates = await Promise.all(all.map((call, index) => makeCall(ledger, call, idOf(index), turn)));
    left.length = 0;
    while (ledger.health().state !== 'ok') await Bun.sleep(1);
    await ledger.close();
    return fates;
  };
  const fates = await scheduler.waitFor(toTheEnd());
  const rows = await store.db
    .selectFrom('ledger_attempt')
    .select(['attempt_id', 'state'])
    .where('organisation_id', '=', organisationId)
    .execute();
  const found = new Map(rows.map((row) => [row.attempt_id, row.state]));
  for (const [index, fate] of fates.entries()) {
    expect(possible(fate, coming.includes('fenced'))).toContain(found.get(idOf(index)) ?? null);
  }
  const windows = await new BudgetRepository(store.db).states(NOON_MS, { organisationId });
  expect(windows.map(({ reserved }) => reserved)).toEqual([0]);
  expect((await verifyLedger(store)).findings.filter((finding) => finding.organisationId === organisationId)).toEqual(
    [],
  );
  expect(ledger.health()).toMatchObject({ waiting: 0, lost: 0 });
}

test('whatever befalls commits, and in whatever order, each call is on record as its caller was told, and nothing stays set aside', async () => {
  await fc.assert(fc.asyncProperty(fc.scheduler(), calls, troubles, play), { numRuns: 150, endOnFailure: true });
}, 120_000);
