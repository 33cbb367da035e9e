import type { LedgerOperation } from '../../../core/ledger.ts';
import type { AttemptState } from './attempt-state.ts';
import {
  attemptKey,
  type Books,
  type Budget,
  type KnownAttempt,
  NO_BOOKS,
  type WindowAmounts,
  windowKey,
} from './decide.ts';
import { partsOfText } from './parts.ts';
import { textOf } from './rows.ts';
import { type Row, run, type Script, type Value } from './script.ts';
import * as statements from './statements.ts';
import { windowStartMs } from './windows.ts';

/**
 * Reads and locks what the batch depends on: attempts first, then windows, both in the order of their keys. `lookUp`: all
 * attempts and windows that it may touch.
 */
export function* readBooks(operations: readonly LedgerOperation[], lookUp: boolean): Script<Books> {
  const budgetsOf = budgetFinder(yield* run(statements.BUDGETS_OF, scopeRows(operations)));
  const depends = lookUp ? operations : notTakenForGranted(operations);
  if (depends.length === 0) return { ...NO_BOOKS, budgetsOf };
  const attempts = new Map<string, KnownAttempt>();
  for (const row of yield* run(statements.LOCK_ATTEMPTS, attemptRows(depends)))
    attempts.set(keyOf(row), attemptOf(row));
  const opening = newWindows(operations, budgetsOf);
  const held = heldWindows(depends, attempts);
  const windows = new Map<string, WindowAmounts>();
  yield* lockWindows(unique([...opening, ...held]), windows);
  // They are there already, but for the first call of a day or a month.
  const missing = opening.filter((row) => !windows.has(row.join('\n')));
  yield* run(statements.OPEN_WINDOWS, missing);
  yield* lockWindows(missing, windows);
  return { budgetsOf, attempts, windows, onlyAdds: false };
}

function* lockWindows(rows: readonly WindowRow[], windows: Map<string, WindowAmounts>): Script<void> {
  for (const row of yield* run(statements.LOCK_WINDOWS, rows)) {
    const amounts = windowOf(row);
    windows.set(windowKey(amounts), amounts);
  }
}

/** Starts that a budget may refuse, and ends of what is not new in the batch. All other starts are new. */
function notTakenForGranted(operations: readonly LedgerOperation[]): readonly LedgerOperation[] {
  const begun = new Set<string>();
  return operations.filter((operation) => {
    if (operation.kind === 'end') return !begun.has(attemptKey(operation.organisationId, operation.attemptId));
    if (operation.enforce) return true;
    begun.add(attemptKey(operation.start.payer.organisationId, operation.start.attemptId));
    return false;
  });
}

type BudgetsOf = Books['budgetsOf'];

/** The names by which budgets of one organisation are looked for. */
type Names = Readonly<Record<'project' | 'model' | 'key', Set<string>>>;

/** Each scope once, however many calls of the batch are in it. */
function scopeRows(operations: readonly LedgerOperation[]): (readonly Value[])[] {
  const byOrganisation = new Map<string, Names>();
  for (const operation of operations) {
    if (operation.kind === 'end') continue;
    const { payer, model } = operation.start;
    let names = byOrganisation.get(payer.organisationId);
    if (names === undefined) {
      names = { project: new Set(), model: new Set(), key: new Set() };
      byOrganisation.set(payer.organisationId, names);
    }
    names.project.add(payer.projectId);
    names.model.add(textOf(model));
    if (payer.keyId !== null) names.key.add(payer.keyId);
  }
  return [...byOrganisation].flatMap(([organisation, names]) => [
    [organisation, 'organisation', organisation],
    ...SCOPES.flatMap((scope) => [...names[scope]].map((name) => [organisation, scope, name])),
  ]);
}

const SCOPES = ['project', 'model', 'key'] as const;
const NO_BUDGETS: readonly Budget[] = [];

/** Looks among the budgets that the rows are, of each scope in the order of their ids. */
function budgetFinder(rows: readonly Row[]): BudgetsOf {
  if (rows.length === 0) return NO_BOOKS.budgetsOf;
  const byScope = Map.groupBy(rows.map(budgetOf).sort(byId), ({ organisationId, scope }) => scope + organisationId);
  const found = new Map([...byScope].map(([name, ofScope]) => [name, Map.groupBy(ofScope, ({ scopeId }) => scopeId)]));
  const of = (scope: string, id: string | null): readonly Budget[] =>
    id === null ? NO_BUDGETS : (found.get(scope)?.get(id) ?? NO_BUDGETS);
  const lists = new Map<string, readonly Budget[]>();
  return ({ payer: { organisationId, projectId, keyId }, model }) => {
    // One list for all calls of a key that ask for the same model.
    const name = `${organisationId}\n${projectId}\n${keyId ?? ''}\n${model}`;
    let list = lists.get(name);
    if (list === undefined) {
      list = [
        ...of(`organisation${organisationId}`, organisationId),
        ...of(`project${organisationId}`, projectId),
        ...of(`model${organisationId}`, textOf(model)),
        ...of(`key${organisationId}`, keyId),
      ];
      lists.set(name, list);
    }
    return list;
  };
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

function newWindows(operations: readonly LedgerOperation[], budgetsOf: BudgetsOf): WindowRow[] {
  const rows = operations.flatMap((operation) => {
    if (operation.kind === 'end') return [];
    const { start } = operation;
    return budgetsOf(start).map(
      (budget): WindowRow => [budget.organisationId, budget.budgetId, windowStartMs(budget.window, start.startedAtMs)],
    );
  });
  return unique(rows);
}

/** Of open attempts that end. */
function heldWindows(
  operations: readonly LedgerOperation[],
  attempts: ReadonlyMap<string, KnownAttempt>,
): readonly WindowRow[] {
  return operations.flatMap((operation) => {
    if (operation.kind !== 'end') return [];
    const { organisationId, attemptId } = operation;
    const attempt = attempts.get(attemptKey(organisationId, attemptId));
    if (attempt?.state !== 'reserved') return [];
    return attempt.parts.map(({ budgetId, windowStartMs: startMs }): WindowRow => [organisationId, budgetId, startMs]);
  });
}

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

function attemptOf(row: Row): KnownAttempt {
  const parts = row['budget_parts'] as string | null;
  return {
    state: row['state'] as AttemptState,
    reservedNanoUsd: Number(row['reserved_nano_usd']),
    reservedTokens: Number(row['reserved_tokens']),
    parts: partsOfText(parts),
  };
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
