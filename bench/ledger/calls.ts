import { randomUUID } from 'node:crypto';
import { type AttemptEnd, type AttemptStart, DEFAULT_PAYER, type Ledger, NO_TOKENS } from '../../src/core/ledger.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { SqlStore } from '../../src/stores/sql/sql-store.ts';
import { sqliteFileLocks } from '../../src/stores/sqlite/file-locks.ts';
import { systemClock } from '../../src/system-clock.ts';
import { openLedger } from '../../src/usage/ledger/open-ledger.ts';
import { percentile } from '../statistics.ts';

export interface CallFigures {
  readonly callsPerSecond: number;
  /** `journal`: without a hard budget · `store`: decided by the store at once, as all calls were before the journal. */
  readonly path: 'journal' | 'store';
  readonly budgets: number;
  /** Of all threads, group commits included, less what the same loop takes without a ledger. */
  readonly cpuMicrosecondsPerCall: number;
  /** From `end` until it cannot be lost, ms. */
  readonly endP50Ms: number;
  readonly endP99Ms: number;
  /** From `reserve` until it may be made, ms; null: nothing to wait for. */
  readonly reserveP50Ms: number | null;
  /** How late a timer of 5 ms comes, ms. */
  readonly loopDelayP99Ms: number;
}

const silent = (): void => undefined;
const logger: Logger = { debug: silent, info: silent, warn: silent, error: silent };
const TICK_MS = 5;

export const ledgerOver = (store: SqlStore, journalFolder: string): Promise<Ledger> =>
  openLedger({ store, clock: systemClock, logger, journalFolder, locks: sqliteFileLocks, newOwnerId: randomUUID });

export function someStart(keyId: string | null): AttemptStart {
  return {
    attemptId: Bun.randomUUIDv7(),
    requestId: randomUUID(),
    attempt: 1,
    payer: { ...DEFAULT_PAYER, keyId },
    targetId: 'lmstudio',
    adapterKind: 'lm-studio',
    place: 'local',
    model: 'qwen2.5-7b-instruct',
    operation: 'chat',
    stream: true,
    startedAtMs: Date.now(),
    reservedNanoUsd: 1_000,
    reservedTokens: 500,
  };
}

export function someEnd(): AttemptEnd {
  return {
    ...NO_TOKENS,
    state: 'settled',
    endedAtMs: Date.now(),
    status: 200,
    failure: null,
    clientOutcome: 'served',
    inputTokens: 300,
    outputTokens: 100,
    costNanoUsd: 700,
    costSource: 'catalogue',
    savedNanoUsd: 0,
    estimated: false,
  };
}

/** Calls at a steady rate, each open for `openMs`; without a ledger: the loop by itself. */
export async function measureCalls(
  ledger: Ledger | null,
  options: {
    readonly callsPerSecond: number;
    readonly seconds: number;
    readonly path: CallFigures['path'];
    readonly budgets: number;
  },
): Promise<CallFigures> {
  const { callsPerSecond, seconds, path, budgets } = options;
  const [ends, reserves, delays]: [number[], number[], number[]] = [[], [], []];
  const running: Promise<void>[] = [];
  const before = process.cpuUsage();
  const startedAtMs = performance.now();
  let [made, lastMs] = [0, startedAtMs];
  while (made < callsPerSecond * seconds) {
    await Bun.sleep(TICK_MS);
    const nowMs = performance.now();
    delays.push(nowMs - lastMs - TICK_MS);
    lastMs = nowMs;
    const due = Math.floor(((nowMs - startedAtMs) / 1_000) * callsPerSecond);
    for (; made < due; made++) running.push(oneCall(ledger, made, path, ends, reserves));
  }
  await Promise.all(running);
  const { user, system } = process.cpuUsage(before);
  const sorted = (values: number[]): Float64Array => Float64Array.from(values).sort();
  return {
    callsPerSecond,
    path,
    budgets,
    cpuMicrosecondsPerCall: (user + system) / made,
    endP50Ms: percentile(sorted(ends), 0.5),
    endP99Ms: percentile(sorted(ends), 0.99),
    reserveP50Ms: path === 'store' ? percentile(sorted(reserves), 0.5) : null,
    loopDelayP99Ms: percentile(sorted(delays), 0.99),
  };
}

const OPEN_MS = 100;

async function oneCall(
  ledger: Ledger | null,
  index: number,
  path: CallFigures['path'],
  ends: number[],
  reserves: number[],
): Promise<void> {
  const start = someStart(`key-${index % 1_000}`);
  const beganAtMs = performance.now();
  const entry = path === 'store' ? await ledger?.reserve(start) : ledger?.begin(start);
  reserves.push(performance.now() - beganAtMs);
  await Bun.sleep(OPEN_MS);
  const end = someEnd();
  const endedAtMs = performance.now();
  await entry?.end(end);
  ends.push(performance.now() - endedAtMs);
}
