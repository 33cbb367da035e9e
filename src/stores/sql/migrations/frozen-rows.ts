import type { DialectName } from '../dialect-name.ts';

/** The database itself refuses what no code of ours should ever try: to change or take away a row that has ended. */
export function freezeEndedAttempts(dialect: DialectName): readonly string[] {
  return dialect === 'sqlite' ? SQLITE : POSTGRES;
}

const SQLITE = [
  `create trigger ledger_attempt_frozen before update on ledger_attempt when old.state <> 'reserved'
   begin select raise(abort, 'ledger rows that have ended never change'); end`,
  `create trigger ledger_attempt_kept before delete on ledger_attempt
   begin select raise(abort, 'ledger rows are never deleted'); end`,
];

const POSTGRES = [
  `create function ledger_attempt_frozen() returns trigger language plpgsql as $$
   begin
     if tg_op = 'DELETE' then raise exception 'ledger rows are never deleted'; end if;
     if old.state <> 'reserved' then raise exception 'ledger rows that have ended never change'; end if;
     return new;
   end $$`,
  `create trigger ledger_attempt_frozen before update or delete on ledger_attempt
   for each row execute function ledger_attempt_frozen()`,
];
