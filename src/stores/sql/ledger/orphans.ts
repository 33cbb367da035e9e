import { attemptUnknown } from '../../../core/ledger.ts';
import { write } from './commit.ts';
import { change, run, type Script } from './script.ts';
import * as statements from './statements.ts';

/**
 * Declares the owner dead and ends up to a thousand of its open attempts; how many. None left: the owner is done.
 * Nobody saw what they used, so they are billed what was set aside for them.
 */
export function* resolveOrphans(ownerId: string, nowMs: number): Script<number> {
  yield* change(statements.DECLARE_DEAD, [[ownerId]]);
  const orphans = yield* run(statements.ORPHANS_OF, [[ownerId]]);
  const end = attemptUnknown(nowMs);
  const results = yield* write(
    ownerId,
    orphans.map((row) => ({
      kind: 'end' as const,
      organisationId: String(row['organisation_id']),
      attemptId: String(row['attempt_id']),
      end,
    })),
    { lookUp: true },
  );
  return results.filter(({ kind }) => kind === 'done').length;
}
