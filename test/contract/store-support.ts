import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../src/core/clock.ts';
import { type AttemptEnd, type AttemptStart, type LedgerOperation, NO_TOKENS } from '../../src/core/ledger.ts';
import { openPostgresStore } from '../../src/stores/postgres/postgres-store.ts';
import type { SqlStore } from '../../src/stores/sql/sql-store.ts';
import { openSqliteStore } from '../../src/stores/sqlite/sqlite-store.ts';
import { systemClock } from '../../src/system-clock.ts';
import { startPostgres } from '../support/postgres-server.ts';

/** What opens the same store again, also from another process. */
export type StorePlace = { readonly dataDir: string } | { readonly url: string };

/** One kind of database that the store runs on. */
export interface Backend {
  readonly name: string;
  /** Where an empty store can be opened. */
  place(): Promise<StorePlace>;
  end(): Promise<void>;
}

export function openAt(place: StorePlace, clock: Clock = systemClock): Promise<SqlStore> {
  return 'url' in place ? openPostgresStore({ ...place, clock }) : openSqliteStore({ ...place, clock });
}

/** SQLite, and PostgreSQL where it is installed. */
export async function backends(): Promise<readonly Backend[]> {
  const postgres = await startPostgres();
  const sqlite = sqliteBackend();
  if (postgres === null) return [sqlite];
  return [
    sqlite,
    { name: 'PostgreSQL', place: async () => ({ url: await postgres.database() }), end: () => postgres.stop() },
  ];
}

function sqliteBackend(): Backend {
  const folders: string[] = [];
  return {
    name: 'SQLite',
    async place() {
      const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-store-'));
      folders.push(dataDir);
      return { dataDir };
    },
    async end() {
      for (const folder of folders) await rm(folder, { recursive: true, force: true });
    },
  };
}

export const NOON_MS = Date.UTC(2026, 10, 23, 12);

export function startOf(attemptId: string, changes: Partial<AttemptStart> = {}): AttemptStart {
  return {
    attemptId,
    requestId: `request of ${attemptId}`,
    attempt: 1,
    payer: { organisationId: 'default', projectId: 'default', keyId: 'alice' },
    targetId: 'lmstudio',
    adapterKind: 'lm-studio',
    place: 'local',
    model: 'qwen2.5-7b',
    operation: 'chat',
    stream: true,
    startedAtMs: NOON_MS,
    reservedNanoUsd: 0,
    reservedTokens: 0,
    ...changes,
  };
}

export function endOf(changes: Partial<AttemptEnd> = {}): AttemptEnd {
  return {
    ...NO_TOKENS,
    state: 'settled',
    endedAtMs: NOON_MS + 1_000,
    status: 200,
    failure: null,
    clientOutcome: 'served',
    inputTokens: 100,
    outputTokens: 20,
    costNanoUsd: 0,
    costSource: 'catalogue',
    savedNanoUsd: 0,
    estimated: false,
    ...changes,
    // As the router has it.
    ...(changes.state === 'voided' ? { ...NO_TOKENS, costNanoUsd: 0 } : {}),
  };
}

export const starting = (attemptId: string, changes: Partial<AttemptStart> = {}, enforce = true): LedgerOperation => ({
  kind: 'start',
  start: startOf(attemptId, changes),
  enforce,
});

export const ending = (
  attemptId: string,
  changes: Partial<AttemptEnd> = {},
  organisationId = 'default',
): LedgerOperation => ({
  kind: 'end',
  organisationId,
  attemptId,
  end: endOf(changes),
});
