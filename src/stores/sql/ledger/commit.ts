import { type LedgerOperation, type LedgerResult, OwnerFenced } from '../../../core/ledger.ts';
import { readBooks } from './books.ts';
import { attemptKey, type Decision, decide, NO_BOOKS } from './decide.ts';
import { endRow, startRow } from './rows.ts';
import { type Row, run, type Script } from './script.ts';
import * as statements from './statements.ts';
import { problemOf } from './valid.ts';

/** Rows were written by somebody else while they should have been locked. Running the script anew puts it right. */
export class Overtaken extends Error {
  override readonly name = 'Overtaken';
}

/** All operations of a group commit. */
export function* commit(ownerId: string, operations: readonly LedgerOperation[]): Script<readonly LedgerResult[]> {
  yield* beat(ownerId);
  return yield* write(ownerId, operations);
}

/** Says that the owner lives; a dead one stays dead, so that what was resolved in its name is not written twice. */
function* beat(ownerId: string): Script<void> {
  if ((yield* run(statements.BEAT, [[ownerId]])).length > 0) return;
  if ((yield* run(statements.REGISTER_OWNER, [[ownerId]])).length > 0) return;
  throw new OwnerFenced(`the owner ${ownerId} was declared dead`);
}

/** The operations without a word about who lives; one result for each. */
export function* write(ownerId: string, operations: readonly LedgerOperation[]): Script<readonly LedgerResult[]> {
  const problems = operations.map(problemOf);
  const valid = operations.filter((_, index) => problems[index] === null);
  const decided = yield* writeValid(ownerId, valid);
  let next = 0;
  return problems.map((problem) =>
    problem === null ? (decided[next++] as LedgerResult) : { kind: 'invalid', message: problem },
  );
}

function* writeValid(ownerId: string, operations: readonly LedgerOperation[]): Script<readonly LedgerResult[]> {
  const budgeted = (yield* run(statements.ANY_BUDGET)).length > 0;
  const books = budgeted ? yield* readBooks(operations) : NO_BOOKS;
  const decision = decide(operations, books);
  const started = yield* run(
    statements.START_ATTEMPTS,
    decision.started.map((start) => startRow(ownerId, start)),
  );
  const ended = yield* run(statements.END_ATTEMPTS, decision.ended.map(endRow));
  if (!budgeted) return yield* corrected(operations, decision, started, ended);
  if (started.length !== decision.started.length || ended.length !== decision.ended.length) {
    throw new Overtaken('attempts of this batch were written by another process');
  }
  yield* writeBudgets(decision);
  return decision.results;
}

function* writeBudgets({ opened, closed, windows }: Decision): Script<void> {
  yield* run(
    statements.OPEN_HOLDS,
    opened.map((hold) => [
      hold.organisationId,
      hold.attemptId,
      hold.budgetId,
      hold.windowStartMs,
      hold.reserved,
      hold.enforced ? 1 : 0,
    ]),
  );
  yield* run(
    statements.CLOSE_HOLDS,
    closed.map((hold) => [hold.organisationId, hold.attemptId, hold.budgetId, hold.settled]),
  );
  yield* run(
    statements.WRITE_WINDOWS,
    windows.map((window) => [
      window.organisationId,
      window.budgetId,
      window.windowStartMs,
      window.reserved,
      window.settled,
    ]),
  );
}

/** The results after a look at which rows took the write: nothing was looked up before. */
function* corrected(
  operations: readonly LedgerOperation[],
  { results, started: starts, ended: ends }: Decision,
  started: readonly Row[],
  ended: readonly Row[],
): Script<readonly LedgerResult[]> {
  if (started.length === starts.length && ended.length === ends.length) return results;
  const [isStarted, isEnded] = [keysOf(started), keysOf(ended)];
  const unwritten = ends.filter((end) => !isEnded.has(attemptKey(end.organisationId, end.attemptId)));
  const found = keysOf(
    yield* run(
      statements.STATE_OF,
      unwritten.map((end) => [end.organisationId, end.attemptId]),
    ),
  );
  return operations.map((operation, index): LedgerResult => {
    const result = results[index] as LedgerResult;
    if (result.kind !== 'done') return result;
    const key = keyOf(operation);
    if (operation.kind === 'start') return isStarted.has(key) ? result : { kind: 'repeated' };
    if (isEnded.has(key)) return result;
    return { kind: found.has(key) ? 'late' : 'missing' };
  });
}

function keyOf(operation: LedgerOperation): string {
  return operation.kind === 'start'
    ? attemptKey(operation.start.payer.organisationId, operation.start.attemptId)
    : attemptKey(operation.organisationId, operation.attemptId);
}

function keysOf(rows: readonly Row[]): ReadonlySet<string> {
  return new Set(rows.map((row) => attemptKey(String(row['organisation_id']), String(row['attempt_id']))));
}
