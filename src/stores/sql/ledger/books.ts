import type { AttemptStart, LedgerOperation } from '../../../core/ledger.ts';
import type { AttemptState } from './attempt-state.ts';
import { attemptKey, type Books, type Budget, type Hold, type WindowAmounts, windowKey } from './decide.ts';
import { textOf } from './rows.ts';
import { type Row, run, type Script, type Value } from './script.ts';
import * as statements from './statements.ts';
import { windowStartMs } from './windows.ts';

/** Reads and locks all that the batch may touch: attempts first, then windows, both in the order of their keys. */
export function* readBooks(operations: readonly LedgerOperation[]): Script<Books> {
  const budgets = budgetsByAttempt(operations, yield* run(statements.BUDGETS_OF, scopeRows(operations)));
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

/** Each scope once, however many calls of the batch are in it. */
function scopeRows(operations: readonly LedgerOperation[]): (readonly Value[])[] {
  return unique(operations.flatMap((operation) => (operation.kind === 'end' ? [] : scopesOf(operation.start))));
}

function scopesOf({ payer, model }: AttemptStart): (readonly [string, string, string])[] {
  const { organisationId, projectId, keyId } = payer;
  return [
    [organisationId, 'organisation', organisationId],
    [organisationId, 'project', projectId],
    [organisationId, 'model', textOf(model)],
    ...(keyId === null ? [] : [[organisationId, 'key', keyId] as const]),
  ];
}

function budgetsByAttempt(
  operations: readonly LedgerOperation[],
  rows: readonly Row[],
): Map<string, readonly Budget[]> {
  const byScope = Map.groupBy(rows.map(budgetOf).sort(byId), ({ organisationId, scope, scopeId }) =>
    [organisationId, scope, scopeId].join('\n'),
  );
  const found = new Map<string, readonly Budget[]>();
  if (byScope.size === 0) return found;
  for (const operation of operations) {
    if (operation.kind === 'end') continue;
    const { start } = operation;
    const own = scopesOf(start).flatMap((scope) => byScope.get(scope.join('\n')) ?? []);
    if (own.length > 0) found.set(attemptKey(start.payer.organisationId, start.attemptId), own);
  }
  return found;
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
function unique<R extends readonly Value[]>(rows: readonly R[]): R[] {
  const byKey = new Map(rows.map((row) => [row.join('\n'), row]));
  return [...byKey.keys()].sort().map((key) => byKey.get(key) as R);
}

const keyOf = (row: Row): string => attemptKey(String(row['organisation_id']), String(row['attempt_id']));

const byId = (a: Budget, b: Budget): number => (a.budgetId < b.budgetId ? -1 : 1);

function budgetOf(row: Row): Budget {
  return {
    organisationId: String(row['organisation_id']),
    budgetId: String(row['budget_id']),
    scope: row['scope'] as Budget['scope'],
    scopeId: String(row['scope_id']),
    window: row['budget_window'] as Budget['window'],
    unit: row['unit'] as Budget['unit'],
    limit: Number(row['limit_amount']),
    hard: row['hard'] === 1,
  };
}

function holdsByAttempt(rows: readonly Row[]): Map<string, Hold[]> {
  const holds = rows.map((row) => ({
    organisationId: String(row['organisation_id']),
    attemptId: String(row['attempt_id']),
    budgetId: String(row['budget_id']),
    unit: row['unit'] as Hold['unit'],
    windowStartMs: Number(row['window_start_ms']),
    reserved: Number(row['reserved']),
    enforced: row['enforced'] === 1,
  }));
  return Map.groupBy(holds, ({ organisationId, attemptId }) => attemptKey(organisationId, attemptId));
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
