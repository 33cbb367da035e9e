import type { LedgerFinding } from '../../../core/ledger-check.ts';
import type { DialectName } from '../dialect-name.ts';

/** What makes a double impossible, and an ended row unchangeable. */
const KEYED_TABLES = ['ledger_attempt', 'budget_window'] as const;
const TRIGGERS = {
  sqlite: ['ledger_attempt_frozen', 'ledger_attempt_kept'],
  postgres: ['ledger_attempt_frozen'],
} as const satisfies Record<DialectName, readonly string[]>;

/** What is there of it: one column, `trigger <name>` or `key <table>`. */
export function guardsQuery(dialect: DialectName): string {
  const tables = KEYED_TABLES.map((name) => `'${name}'`).join(', ');
  if (dialect === 'sqlite') {
    return `select 'trigger ' || name as guard from sqlite_master where type = 'trigger' and tbl_name = 'ledger_attempt'
      union all select 'key ' || t.name from sqlite_master as t
        where t.type = 'table' and t.name in (${tables}) and (select count(*) from pragma_table_info(t.name) where pk > 0) > 0`;
  }
  // Enabled for ordinary sessions, and a key that is valid.
  return `select 'trigger ' || tgname as guard from pg_trigger
      where tgrelid = to_regclass('ledger_attempt') and tgenabled in ('O', 'A')
    union all select 'key ' || c.relname from pg_index as i join pg_class as c on c.oid = i.indrelid
      where i.indisprimary and i.indisvalid and c.oid in (${KEYED_TABLES.map((name) => `to_regclass('${name}')`).join(', ')})`;
}

export function guardFindings(dialect: DialectName, found: ReadonlySet<string>): readonly LedgerFinding[] {
  const finding = (subject: string, message: string): LedgerFinding => {
    return { rule: 'I8', organisationId: null, subject, message };
  };
  return [
    ...TRIGGERS[dialect]
      .filter((name) => !found.has(`trigger ${name}`))
      .map((name) => finding(`trigger ${name}`, 'it is not in force: calls that have ended can be changed')),
    ...KEYED_TABLES.filter((name) => !found.has(`key ${name}`)).map((name) =>
      finding(`table ${name}`, 'it has no primary key: the same can be on record twice'),
    ),
  ];
}
