import type { DialectName } from '../dialect-name.ts';

const FROZEN_TABLES = ['audit_entry', 'audit_checkpoint'];

/** The database itself refuses to change or take away what is on record. */
export function freezeAuditLog(dialect: DialectName): readonly string[] {
  return dialect === 'sqlite' ? FROZEN_TABLES.flatMap(sqliteTriggers) : [POSTGRES_FUNCTION, ...postgresTriggers()];
}

function sqliteTriggers(table: string): string[] {
  return ['update', 'delete'].map(
    (event) => `create trigger ${table}_no_${event} before ${event} on ${table}
     begin select raise(abort, 'the audit log never changes'); end`,
  );
}

const POSTGRES_FUNCTION = `create function audit_frozen() returns trigger language plpgsql as $$
   begin raise exception 'the audit log never changes'; end $$`;

function postgresTriggers(): string[] {
  return FROZEN_TABLES.flatMap((table) => [
    `create trigger ${table}_frozen before update or delete on ${table}
     for each row execute function audit_frozen()`,
    `create trigger ${table}_kept before truncate on ${table}
     for each statement execute function audit_frozen()`,
  ]);
}
