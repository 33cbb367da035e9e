import { type Kysely, type RawBuilder, sql } from 'kysely';
import {
  LEDGER_INVARIANTS,
  type LedgerFinding,
  type LedgerInvariant,
  type LedgerVerdict,
} from '../../../core/ledger-check.ts';
import type { SqlStore } from '../sql-store.ts';
import type { Tables } from '../tables.ts';
import { CALLS, OPEN_CALLS, PARTS } from '../verify/attempt-rules.ts';
import { guardFindings, guardsQuery } from '../verify/guards.ts';
import type { Cell, FoundRow, Rule, RuleSet } from '../verify/rule.ts';
import { WINDOW_QUERY, WINDOW_RULES, windowSubject } from '../verify/window-rules.ts';

/** Findings of an invariant that are worth listing: a broken rule is often broken everywhere. */
const MOST_EACH = 100;
/** Calls of one piece: short enough that other reports get in between. */
const PIECE = 10_000;

/**
 * All that the store can tell by itself of the invariants of the ledger. Not seen from here: whether servers counted the
 * same (I5), and answers that were never on record (I6). Reads only, piece by piece, while the ledger is written.
 */
export async function verifyLedger(store: Pick<SqlStore, 'db' | 'dialect'>): Promise<LedgerVerdict> {
  const { db, dialect } = store;
  const findings = new Findings();
  const windows = await verifyWindows(db, findings);
  await verifyOpenCalls(db, findings);
  let [attempts, parts] = [0, 0];
  for await (const piece of pieces(db)) {
    attempts += await count(db, 'ledger_attempt', piece);
    parts += await count(db, 'budget_hold', piece);
    for (const set of [CALLS, PARTS]) await verifyPiece(db, set, piece, findings);
  }
  const guards = await rowsOf<{ guard: string }>(db, sql.raw(guardsQuery(dialect)));
  findings.add(guardFindings(dialect, new Set(guards.map(({ guard }) => guard))));
  return { attempts, parts, windows, ...findings.inOrder() };
}

/** How many there are. */
async function verifyWindows(db: Kysely<Tables>, findings: Findings): Promise<number> {
  const rows = await rowsOf<FoundRow>(
    db,
    sql.raw(`select * from (
        select seen.*, row_number() over (partition by is_over, is_wrong
          order by organisation_id, budget_id, window_start_ms) as place
        from (${WINDOW_QUERY}) as seen where is_wrong = 1 or is_over = 1) as numbered
      where place <= ${MOST_EACH + 1} order by organisation_id, budget_id, window_start_ms`),
  );
  for (const { rule, flag, message } of WINDOW_RULES) {
    const broken = rows.filter((row) => row[flag] === 1);
    findings.add(broken.map((row) => findingOf(rule, row, windowSubject(row), message(row))));
  }
  const [counted] = await rowsOf<{ windows: number }>(db, sql`select count(*) as windows from budget_window`);
  return Number(counted?.windows ?? 0);
}

/** Seen twice: a large number of orphans is ended in several commits, and one look may fall in between. */
async function verifyOpenCalls(db: Kysely<Tables>, findings: Findings): Promise<void> {
  for (const rule of OPEN_CALLS.rules) {
    const first = await found(db, OPEN_CALLS, rule, EVERYTHING);
    if (first.length === 0) continue;
    const again = await found(db, OPEN_CALLS, rule, EVERYTHING);
    const still = new Set(again.map(({ subject, organisationId }) => `${organisationId}\n${subject}`));
    findings.add(first.filter(({ subject, organisationId }) => still.has(`${organisationId}\n${subject}`)));
  }
}

/** One query asks whether anything is wrong at all; which rule it is is asked only then. */
async function verifyPiece(db: Kysely<Tables>, set: RuleSet, piece: Piece, findings: Findings): Promise<void> {
  const anything = set.rules.map(({ where }) => `(${where})`).join(' or ');
  // In order: SQLite would rather look through all calls of the organisation.
  const wrong = await rowsOf(
    db,
    sql`select 1 as is_wrong from ${sql.raw(set.from)} where ${within(set.alias, piece)} and (${sql.raw(anything)})
      order by ${sql.raw(keyOf(set))} limit 1`,
  );
  if (wrong.length === 0) return;
  for (const rule of set.rules) findings.add(await found(db, set, rule, piece));
}

/** The calls after one, up to and with another. Null: without an end. */
interface Piece {
  readonly after: readonly [organisationId: string, attemptId: string] | null;
  readonly upTo: readonly [organisationId: string, attemptId: string] | null;
}

interface LastRow {
  readonly organisation_id: string;
  readonly attempt_id: string;
}

const EVERYTHING: Piece = { after: null, upTo: null };

/** Together all that there is, also parts in budgets whose call is not there. */
async function* pieces(db: Kysely<Tables>): AsyncGenerator<Piece> {
  let after: Piece['after'] = null;
  for (;;) {
    const rows: readonly LastRow[] = await rowsOf<LastRow>(
      db,
      sql`select a.organisation_id, a.attempt_id from ledger_attempt as a where ${within('a', { after, upTo: null })}
        order by a.organisation_id, a.attempt_id limit 1 offset ${sql.lit(PIECE - 1)}`,
    );
    const last = rows[0];
    if (last === undefined) {
      yield { after, upTo: null };
      return;
    }
    const upTo: Piece['upTo'] = [last.organisation_id, last.attempt_id];
    yield { after, upTo };
    after = upTo;
  }
}

function within(alias: 'a' | 'h', { after, upTo }: Piece): RawBuilder<unknown> {
  const key = sql.raw(`(${alias}.organisation_id, ${alias}.attempt_id)`);
  const above = after === null ? sql`1 = 1` : sql`${key} > (${after[0]}, ${after[1]})`;
  const below = upTo === null ? sql`1 = 1` : sql`${key} <= (${upTo[0]}, ${upTo[1]})`;
  return sql`${above} and ${below}`;
}

async function found(
  db: Kysely<Tables>,
  set: RuleSet,
  { rule, columns, where, message }: Rule,
  piece: Piece,
): Promise<readonly LedgerFinding[]> {
  const key = keyOf(set);
  const rows = await rowsOf<FoundRow>(
    db,
    sql`select ${sql.raw(`${key}, ${columns} from ${set.from}`)} where ${within(set.alias, piece)} and (${sql.raw(where)})
      order by ${sql.raw(key)} limit ${sql.lit(MOST_EACH + 1)}`,
  );
  return rows.map((row) => findingOf(rule, row, `attempt ${row['attempt_id']}`, message(row)));
}

const keyOf = ({ alias }: RuleSet): string => `${alias}.organisation_id, ${alias}.attempt_id`;

function findingOf(rule: LedgerInvariant, row: FoundRow, subject: string, message: string): LedgerFinding {
  return { rule, organisationId: String(row['organisation_id']), subject, message };
}

async function count(db: Kysely<Tables>, table: 'ledger_attempt' | 'budget_hold', piece: Piece): Promise<number> {
  const rows = await rowsOf<{ rows: number }>(
    db,
    sql`select count(*) as rows from ${sql.table(table)} as a where ${within('a', piece)}`,
  );
  return Number(rows[0]?.rows ?? 0);
}

/** As a builder's query: raw ones go to the connection that writes. */
async function rowsOf<R>(db: Kysely<Tables>, query: RawBuilder<unknown>): Promise<readonly R[]> {
  const rows = await db.selectFrom(sql<Record<string, Cell>>`(${query})`.as('found')).selectAll().execute();
  return rows as readonly unknown[] as readonly R[];
}

/** What was found, of each invariant as much as is worth listing. */
class Findings {
  readonly #byRule = new Map<LedgerInvariant, LedgerFinding[]>();
  readonly #cutShort = new Set<LedgerInvariant>();

  add(findings: readonly LedgerFinding[]): void {
    for (const finding of findings) {
      const known = this.#byRule.get(finding.rule) ?? [];
      this.#byRule.set(finding.rule, known);
      if (known.length < MOST_EACH) known.push(finding);
      else this.#cutShort.add(finding.rule);
    }
  }

  inOrder(): Pick<LedgerVerdict, 'findings' | 'cutShort'> {
    const invariants = Object.keys(LEDGER_INVARIANTS) as LedgerInvariant[];
    return { findings: invariants.flatMap((rule) => this.#byRule.get(rule) ?? []), cutShort: this.#cutShort };
  }
}
