import { afterAll, describe, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import type { Logger } from '../../src/core/logger.ts';
import { BudgetRepository } from '../../src/stores/sql/repositories/budgets.ts';
import { verifyLedger } from '../../src/stores/sql/repositories/verify.ts';
import { sqliteFileLocks } from '../../src/stores/sqlite/file-locks.ts';
import { systemClock } from '../../src/system-clock.ts';
import { openLedger } from '../../src/usage/ledger/open-ledger.ts';
import { backends, ending, endOf, openAt, starting, startOf } from './store-support.ts';

const all = await backends();
afterAll(() => Promise.all(all.map((backend) => backend.end())));

const silent = (): void => undefined;
const logger: Logger = { debug: silent, info: silent, warn: silent, error: silent };

describe.each(all.map((backend) => [backend.name, backend] as const))('a ledger over %s', (_, backend) => {
  const withLedger = async (run: (parts: Awaited<ReturnType<typeof opened>>) => Promise<void>): Promise<void> => {
    const parts = await opened();
    try {
      await run(parts);
    } finally {
      await parts.ledger.close();
      await parts.store.close();
      await rm(parts.folder, { recursive: true, force: true });
    }
  };
  const opened = async () => {
    const folder = await mkdtemp(join(tmpdir(), 'swarmrouter-refused-'));
    const store = await openAt(await backend.place());
    const ledger = await openLedger({
      ...{ store, clock: systemClock, logger, journalFolder: folder },
      ...{ locks: sqliteFileLocks, newOwnerId: randomUUID },
    });
    const recorded = async () => {
      const rows = await store.db.selectFrom('ledger_attempt').select('attempt_id').execute();
      return rows.map(({ attempt_id }) => attempt_id).sort();
    };
    const healthy = async () => {
      while (ledger.health().state !== 'ok') await Bun.sleep(10);
      await ledger.flush();
    };
    return { folder, store, ledger, recorded, healthy };
  };

  test('keeps what the store refuses for a reason of its own, and brings it there when that is over', () =>
    withLedger(async ({ store, ledger, recorded, healthy }) => {
      await ledger.begin(startOf('before')).end(endOf());
      const running = ledger.begin(startOf('running'));
      await ledger.flush();
      await sql.raw('alter table ledger_attempt rename to taken_away').execute(store.db);
      for (const id of ['first', 'second']) await ledger.begin(startOf(id)).end(endOf());
      await running.end(endOf());
      await ledger.flush();
      expect(ledger.health()).toMatchObject({ state: 'spilling', lost: 0 });
      expect(ledger.health().problem).toStartWith('failing');
      await sql.raw('alter table taken_away rename to ledger_attempt').execute(store.db);
      await healthy();
      expect(await recorded()).toEqual(['before', 'first', 'running', 'second']);
      expect(ledger.health()).toMatchObject({ waiting: 0, lost: 0 });
      expect((await verifyLedger(store)).findings.filter(({ rule }) => rule !== 'I8')).toEqual([]);
    }));

  test('goes on beside a budget whose sum is higher than can be counted, and lets nothing into it', () =>
    withLedger(async ({ store, ledger, recorded }) => {
      const budget = { organisationId: 'default', scope: 'project', scopeId: 'default', createdAtMs: 0 } as const;
      await new BudgetRepository(store.db).create({
        ...{ ...budget, budgetId: 'broken', window: 'total', unit: 'tokens', limit: 1e9, hard: true },
      });
      const running = ledger.begin(startOf('running', { reservedTokens: 1 }));
      await ledger.flush();
      await sql.raw('update budget_window set settled = 9007199254740992').execute(store.db);
      await running.end(endOf());
      await ledger.begin(startOf('another')).end(endOf());
      await ledger.flush();
      expect(await recorded()).toEqual(['another', 'running']);
      expect(ledger.health()).toMatchObject({ state: 'ok', lost: 0 });
      const refused = await ledger.reserve(startOf('hard', { reservedTokens: 1 })).then(() => null, String);
      expect(refused).toContain('broken');
      // What another gives back in the same commit makes no room in it either.
      const aside = { reservedTokens: 2 ** 53 - 1 };
      const [, , admitted] = await store.commit('me', [
        ...[starting('huge', aside, false), ending('huge'), starting('next', { reservedTokens: 1 })],
      ]);
      expect(admitted?.kind).toBe('refused');
    }));

  test('counts a call that no store could take as lost, and takes the others of its batch', () =>
    withLedger(async ({ ledger, recorded }) => {
      const impossible = ledger.begin(startOf('impossible', { reservedTokens: 2 ** 53 }));
      const fine = ledger.begin(startOf('fine'));
      await Promise.all([impossible.end(endOf()), fine.end(endOf())]);
      await ledger.flush();
      expect(await recorded()).toEqual(['fine']);
      expect(ledger.health()).toMatchObject({ state: 'ok', lost: 1 });
    }));
});
