import { type LedgerOperation, type LedgerResult, OwnerFenced } from '../../../core/ledger.ts';
import { readBooks } from './books.ts';
import { type Decision, decide, NO_BOOKS } from './decide.ts';
import { endRow, startRow, wholeRow } from './rows.ts';
import { change, run, type Script } from './script.ts';
import * as statements from './statements.ts';
import { problemOf } from './valid.ts';

/**
 * The rows were not as the batch took them to be: something in it came twice, or another process was there first. Roll
 * back, and run the script again with all its rows looked up.
 */
export class Overtaken extends Error {
  override readonly name = 'Overtaken';
}

/** How a batch is written. `lookUp`: nothing is taken for granted; dearer, and always right. */
export interface WriteOptions {
  readonly lookUp: boolean;
}

/** All operations of a group commit. */
export function* commit(
  ownerId: string,
  operations: readonly LedgerOperation[],
  options: WriteOptions,
): Script<readonly LedgerResult[]> {
  yield* beat(ownerId);
  return yield* write(ownerId, operations, options);
}

/** Says that the owner lives; a dead one stays dead, so that what was resolved in its name is not written twice. */
function* beat(ownerId: string): Script<void> {
  if ((yield* change(statements.BEAT, [[ownerId]])) > 0) return;
  if ((yield* change(statements.REGISTER_OWNER, [[ownerId]])) > 0) return;
  throw new OwnerFenced(`the owner ${ownerId} was declared dead`);
}

/** The operations without a word about who lives; one result for each. */
export function* write(
  ownerId: string,
  operations: readonly LedgerOperation[],
  options: WriteOptions,
): Script<readonly LedgerResult[]> {
  const problems = operations.map(problemOf);
  if (problems.every((problem) => problem === null)) return yield* writeValid(ownerId, operations, options);
  const valid = operations.filter((_, index) => problems[index] === null);
  const decided = yield* writeValid(ownerId, valid, options);
  let next = 0;
  return problems.map((problem) =>
    problem === null ? (decided[next++] as LedgerResult) : { kind: 'invalid', message: problem },
  );
}

function* writeValid(
  ownerId: string,
  operations: readonly LedgerOperation[],
  { lookUp }: WriteOptions,
): Script<readonly LedgerResult[]> {
  const budgeted = (yield* run(statements.ANY_BUDGET)).length > 0;
  const books = budgeted || lookUp ? yield* readBooks(operations, lookUp) : NO_BOOKS;
  const decision = decide(operations, books);
  yield* writeAttempts(ownerId, decision);
  yield* writeWindows(decision, books.onlyAdds);
  return decision.results;
}

function* writeAttempts(ownerId: string, decision: Decision): Script<void> {
  const { whole, started, ended } = decision;
  const written =
    (yield* change(
      statements.WHOLE_ATTEMPTS,
      whole.map((attempt) => wholeRow(ownerId, attempt)),
    )) +
    (yield* change(
      statements.START_ATTEMPTS,
      started.map((attempt) => startRow(ownerId, attempt)),
    )) +
    (yield* change(statements.END_ATTEMPTS, ended.map(endRow)));
  if (written === whole.length + started.length + ended.length) return;
  throw new Overtaken('a row of this batch is not as it was thought to be');
}

function* writeWindows({ windows }: Decision, onlyAdds: boolean): Script<void> {
  yield* change(
    onlyAdds ? statements.ADD_TO_WINDOWS : statements.CHANGE_WINDOWS,
    windows.map((window) => [
      window.organisationId,
      window.budgetId,
      window.windowStartMs,
      window.reserved,
      window.settled,
    ]),
  );
}
