import { type Kysely, type SqlBool, sql } from 'kysely';
import type { Overcharge, Overcharges } from '../../../core/ledger-check.ts';
import type { Tables } from '../tables.ts';
import { type Piece, within } from './piece.ts';

/** Parts that were let in because their budget had room for what was set aside, and that came to more. */
export const OVERCHARGED = 'h.enforced = 1 and h.settled > h.reserved';

/** Worth listing; the sums are of all. */
const MOST_LISTED = 100;

/** Sums up the calls that came to more than hard budgets had set aside for them. */
export class OverchargeSum {
  readonly #db: Kysely<Tables>;
  readonly #listed: Overcharge[] = [];
  #calls = 0;
  #parts = 0;
  #excessNanoUsd = 0;
  #excessTokens = 0;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async add(piece: Piece): Promise<void> {
    const { calls, parts, excess_nano_usd, excess_tokens } = await this.#sums(piece);
    this.#calls += Number(calls);
    this.#parts += Number(parts ?? 0);
    this.#excessNanoUsd += Number(excess_nano_usd ?? 0);
    this.#excessTokens += Number(excess_tokens ?? 0);
    const room = MOST_LISTED - this.#listed.length;
    if (room > 0) this.#listed.push(...(await this.#list(piece, room)));
  }

  get found(): Overcharges {
    const [calls, excessNanoUsd, excessTokens] = [this.#calls, this.#excessNanoUsd, this.#excessTokens];
    return { calls, excessNanoUsd, excessTokens, parts: this.#parts, listed: this.#listed };
  }

  /** Budgets of one unit set aside the same for a call and count it alike: what is above is counted once. */
  async #sums(piece: Piece) {
    const ofCalls = this.#db
      .selectFrom('budget_part as h')
      .select(['h.attempt_id', 'h.unit'])
      .select(sql<number>`count(*)`.as('parts'))
      .select(sql<number>`max(h.settled - h.reserved)`.as('excess'))
      .where(overcharged())
      .where(within('h', piece))
      .groupBy(['h.attempt_id', 'h.unit']);
    return await this.#db
      .selectFrom(ofCalls.as('of_calls'))
      .select(sql<number>`count(distinct attempt_id)`.as('calls'))
      .select(sql<number | null>`cast(sum(parts) as bigint)`.as('parts'))
      .select(
        sql<number | null>`cast(sum(case unit when 'usd' then excess else 0 end) as bigint)`.as('excess_nano_usd'),
      )
      .select(sql<number | null>`cast(sum(case unit when 'usd' then 0 else excess end) as bigint)`.as('excess_tokens'))
      .executeTakeFirstOrThrow();
  }

  async #list(piece: Piece, most: number): Promise<readonly Overcharge[]> {
    const rows = await this.#db
      .selectFrom('budget_part as h')
      .leftJoin('ledger_attempt as a', (join) =>
        join.onRef('a.organisation_id', '=', 'h.organisation_id').onRef('a.attempt_id', '=', 'h.attempt_id'),
      )
      .select(['h.organisation_id', 'h.attempt_id', 'h.budget_id', 'h.unit', 'h.window_start_ms'])
      .select(['h.reserved', 'h.settled', 'a.key_id', 'a.target_id', 'a.model'])
      .where(overcharged())
      .where(within('h', piece))
      .orderBy('h.organisation_id')
      .orderBy('h.attempt_id')
      .orderBy('h.budget_id')
      .limit(most)
      .execute();
    return rows.map((row) => ({
      organisationId: row.organisation_id,
      attemptId: row.attempt_id,
      keyId: row.key_id,
      targetId: row.target_id ?? 'unknown',
      model: row.model ?? 'unknown',
      budgetId: row.budget_id,
      unit: row.unit,
      windowStartMs: Number(row.window_start_ms),
      reserved: Number(row.reserved),
      settled: Number(row.settled),
    }));
  }
}

const overcharged = () => sql<SqlBool>`${sql.raw(OVERCHARGED)}`;
