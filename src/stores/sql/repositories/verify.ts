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
import { OverchargeSum } from '../verify/overcharges.ts';
import { type Piece, within } from '../verify/piece.ts';
import type { Cell, FoundRow, Rule, RuleSet } from '../verify/rule.ts';
import { WINDOW_QUERY, WINDOW_RULES, windowSubject } from '../verify/window-rules.ts';

/** Findings of an invariant that are worth listing: a broken rule is often broken everywhere. */
const MOST_EACH = 100;
/** Short enough that other reports get in between. */
const CALLS_OF_A_PIECE = 10_000;

/**
 * All that the store can tell by itself of the invariants of the ledger. Not seen from here: whether servers counted the
 * same (I5), and answers that were never on record (I6). Reads only, piece by piece, while the ledger is written.
 * @param callsOfAPiece > 0
 */
export async function verifyLedger(
  store: Pick<SqlStore, 'db' | 'dialect'>,
  callsOfAPiece = CALLS_OF_A_PIECE,
): Promise<LedgerVerdict> {
  const { db, dialect } = store;
  const findings = new Findings();
  const overcharges = new OverchargeSum(db);
  const windows = await verifyWindows(db, findings);
  await verifyOpenCalls(db, findings);
  let [attempts, parts] = [0, 0];
  for await (const piece of pieces(db, callsOfAPiece)) {
    attempts += (await verifyPiece(db, CALLS, piece, findings)).rows;
    const seen = await verifyPiece(db, PARTS, piece, findings);
    parts += seen.rows;
    if (seen.noted > 0) await overcharges.add(piece);
  }
  const guards = await rowsOf<{ guard: string }>(db, sql.raw(guardsQuery(dialect)));
  findings.add(guardFindings(dialect, new Set(guards.map(({ guard }) => guard))));
  return { attempts, parts, windows, ...findings.inOrder(), overcharged: overcharges.found };
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
    const first = await found(db, OPEN_CALLS, rule, null);
    if (first.length === 0) continue;
    const again = await found(db, OPEN_CALLS, rule, null);
    const still = new Set(again.map(({ subject, organisationId }) => `${organisationId}\n${subject}`));
    findings.add(first.filter(({ subject, organisationId }) => still.has(`${organisationId}\n${subject}`)));
  }
}

/** How many rows it has, and how many of them are noted. One query asks whether anything is wrong with them; which rule it is is asked only then. */
async function verifyPiece(
  db: Kysely<Tables>,
  set: RuleSet,
  piece: Piece,
  findings: Findings,
): Promise<{ readonly rows: number; readonly noted: number }> {
  const anything = set.rules.map(({ where }) => `(${where})`).join(' or ');
  const [seen] = await rowsOf<{ rows: number; wrong: number | null; noted: number | null }>(
    db,
    sql`select count(*) as rows, sum(case when ${sql.raw(anything)} then 1 else 0 end) as wrong,
        sum(case when ${sql.raw(set.noted ?? '1 = 0')} then 1 else 0 end) as noted
      from ${sql.raw(set.from)} where ${within(set.alias, piece)}`,
  );
  if (Number(seen?.wrong ?? 0) > 0) {
    for (const rule of set.rules) findings.add(await found(db, set, rule, piece));
  }
  return { rows: Number(seen?.rows ?? 0), noted: Number(seen?.noted ?? 0) };
}

/** Together all that there is. */
async function* pieces(db: Kysely<Tables>, calls: number): AsyncGenerator<Piece> {
  for (let organisationId = await nextOrganisation(db, ''); organisationId !== null; ) {
    let after: string | null = null;
    do {
      const upTo: string | null = await lastOfPiece(db, { organisationId, after, upTo: null }, calls);
      yield { organisationId, after, upTo };
      after = upTo;
    } while (after !== null);
    organisationId = await nextOrganisation(db, organisationId);
  }
}

/** Null: there is no other. By index; to read all rows for their organisations would take as long as to check them. */
async function nextOrganisation(db: Kysely<Tables>, after: string): Promise<string | null> {
  const [found] = await rowsOf<{ next: string | null }>(
    db,
    sql`select min(organisation_id) as next from ledger_attempt where organisation_id > ${after}`,
  );
  return found?.next ?? null;
}

/** Null: the rest is less than a piece. */
async function lastOfPiece(db: Kysely<Tables>, rest: Piece, calls: number): Promise<string | null> {
  const [last] = await rowsOf<{ attempt_id: string }>(
    db,
    sql`select a.attempt_id from ledger_attempt as a where ${within('a', rest)}
      order by a.attempt_id limit 1 offset ${sql.lit(calls - 1)}`,
  );
  return last?.attempt_id ?? null;
}

async function found(
  db: Kysely<Tables>,
  set: RuleSet,
  { rule, columns, where, message }: Rule,
  piece: Piece | null,
): Promise<readonly LedgerFinding[]> {
  const key = `${set.alias}.organisation_id, ${set.alias}.attempt_id`;
  const rows = await rowsOf<FoundRow>(
    db,
    sql`select ${sql.raw(`${key}, ${columns} from ${set.from}`)} where ${within(set.alias, piece)} and (${sql.raw(where)})
      order by ${sql.raw(key)} limit ${sql.lit(MOST_EACH + 1)}`,
  );
  return rows.map((row) => findingOf(rule, row, `attempt ${row['attempt_id']}`, message(row)));
}

function findingOf(rule: LedgerInvariant, row: FoundRow, subject: string, message: string): LedgerFinding {
  return { rule, organisationId: String(row['organisation_id']), subject, message };
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
