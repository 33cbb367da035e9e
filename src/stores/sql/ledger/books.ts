import type { LedgerOperation } from '../../../core/ledger.ts';
import type { AttemptState } from './attempt-state.ts';
import { attemptKey, type Books, type Budget, type Hold, type WindowAmounts, windowKey } from './decide.ts';
import { textOf } from './rows.ts';
import { type Row, run, type Script, type Value } from './script.ts';
import * as statements from './statements.ts';
import { windowStartMs } from './windows.ts';

/** Reads and locks all that the batch may touch: attempts first, then windows, both in the order of their keys. */
export function* readBooks(operations: readonly LedgerOperation[]): Script<Books> {
  const budgets = budgetsByAttempt(yield* run(statements.BUDGETS_OF, startRows(operations)));
  const attempts = new Map<string, AttemptState>();
  for (const row of yield* run(statements.LOCK_ATTEMPTS, attemptRows(operations))) {
    attempts.set(keyOf(row), row['state'] as AttemptState);
  }
  const ending = attemptRows(operations.filter((operation) => operation.kind === 'end'));
  const open = ending.filter(
    ([organisation, attempt]) => attempts.get(attemptKey(organisation, attempt)) === 'reserved',
  );
  const holds = holdsByAttempt(yield* run(statements.HOLDS_OF, open));
  const opening = newWindows(operations, budgets);
  yield* run(statements.OPEN_WINDOWS, opening);
  const held = [...holds.values()].flat().map(windowRow);
  const windows = new Map<string, WindowAmounts>();
  for (const row of yield* run(statements.LOCK_WINDOWS, unique([...opening, ...held]))) {
    const amounts = windowOf(row);
    windows.set(windowKey(amounts), amounts);
  }
  return { budgets, attempts, holds, windows };
}

function startRows(operations: readonly LedgerOperation[]): (readonly Value[])[] {
  const rows = operations.flatMap((operation): (readonly Value[])[] => {
    if (operation.kind === 'end') return [];
    const { attemptId, payer, model } = operation.start;
    return [[payer.organisationId, attemptId, payer.projectId, payer.keyId, textOf(model)]];
  });
  // A start that came twice has its budgets once.
  return unique(rows, ([organisation, attempt]) => `${organisation}\n${attempt}`);
}

function attemptRows(operations: readonly LedgerOperation[]): (readonly [string, string])[] {
  return unique(
    operations.map((operation): readonly [string, string] =>
      operation.kind === 'start'
        ? [operation.start.payer.organisationId, operation.start.attemptId]
        : [operation.organisationId, operation.attemptId],
    ),
  );
}

type WindowRow = readonly [string, string, number];

function newWindows(operations: readonly LedgerOperation[], budgets: Books['budgets']): WindowRow[] {
  const rows = operations.flatMap((operation) => {
    if (operation.kind === 'end') return [];
    const { start } = operation;
    const own = budgets.get(attemptKey(start.payer.organisationId, start.attemptId)) ?? [];
    return own.map(
      (budget): WindowRow => [budget.organisationId, budget.budgetId, windowStartMs(budget.window, start.startedAtMs)],
    );
  });
  return unique(rows);
}

const windowRow = (hold: Hold): WindowRow => [hold.organisationId, hold.budgetId, hold.windowStartMs];

/** Each row once, in the order of their keys: processes that insert the same rows must not wait in a circle. */
function unique<R extends readonly Value[]>(rows: readonly R[], keyOfRow = (row: R): string => row.join('\n')): R[] {
  const byKey = new Map(rows.map((row) => [keyOfRow(row), row]));
  return [...byKey.keys()].sort().map((key) => byKey.get(key) as R);
}

const keyOf = (row: Row): string => attemptKey(String(row['organisation_id']), String(row['attempt_id']));

function budgetsByAttempt(rows: readonly Row[]): Map<string, Budget[]> {
  return grouped(rows, (row) => ({
    organisationId: String(row['organisation_id']),
    budgetId: String(row['budget_id']),
    scope: row['scope'] as Budget['scope'],
    scopeId: String(row['scope_id']),
    window: row['budget_window'] as Budget['window'],
    unit: row['unit'] as Budget['unit'],
    limit: Number(row['limit_amount']),
    hard: row['hard'] === 1,
  }));
}

function holdsByAttempt(rows: readonly Row[]): Map<string, Hold[]> {
  return grouped(rows, (row) => ({
    organisationId: String(row['organisation_id']),
    attemptId: String(row['attempt_id']),
    budgetId: String(row['budget_id']),
    unit: row['unit'] as Hold['unit'],
    windowStartMs: Number(row['window_start_ms']),
    reserved: Number(row['reserved']),
    enforced: row['enforced'] === 1,
  }));
}

function grouped<T>(rows: readonly Row[], read: (row: Row) => T): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const key = keyOf(row);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [read(row)]);
    else group.push(read(row));
  }
  return groups;
}

function windowOf(row: Row): WindowAmounts {
  return {
    organisationId: String(row['organisation_id']),
    budgetId: String(row['budget_id']),
    windowStartMs: Number(row['window_start_ms']),
    reserved: Number(row['reserved']),
    settled: Number(row['settled']),
  };
}
