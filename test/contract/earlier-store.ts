import { sql } from 'kysely';
import type { Clock } from '../../src/core/clock.ts';
import type { SqlStore } from '../../src/stores/sql/sql-store.ts';

export const PARTS = [
  'organisation_id',
  'attempt_id',
  'budget_id',
  'unit',
  'window_start_ms',
  'reserved',
  'settled',
  'enforced',
];

/** As the tables were before: parts in budgets were rows of their own. */
export async function beforeBudgetParts({ db, dialect }: SqlStore): Promise<void> {
  const run = (text: string) => sql.raw(text).execute(db);
  await run(`create table budget_hold (organisation_id text not null, attempt_id text not null, budget_id text not null,
    unit text not null, window_start_ms bigint not null, reserved bigint not null, settled bigint, enforced integer not null,
    primary key (organisation_id, attempt_id, budget_id))`);
  await run(`insert into budget_hold (${PARTS.join(', ')}) select ${PARTS.join(', ')} from budget_part`);
  await run('drop view budget_part');
  if (dialect === 'sqlite') await run('drop trigger ledger_attempt_frozen');
  await run('alter table ledger_attempt drop column budget_parts');
  if (dialect === 'sqlite') {
    await run(`create trigger ledger_attempt_frozen before update on ledger_attempt when old.state <> 'reserved'
      begin select raise(abort, 'ledger rows that have ended never change'); end`);
  }
  await run("delete from migration where name = '0006-budget-parts'");
}

/** A clock on which every wait is over at once. */
export function hurrying(meanwhile: () => Promise<unknown> = async () => undefined): Clock {
  let nowMs = 0;
  return {
    nowMs: () => nowMs,
    wallMs: () => nowMs,
    after(delayMs, run) {
      nowMs += delayMs;
      void meanwhile().then(run);
      return () => undefined;
    },
  };
}
