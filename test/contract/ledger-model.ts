import fc from 'fast-check';
import type { EndState, LedgerOperation } from '../../src/core/ledger.ts';
import { BudgetRepository } from '../../src/stores/sql/repositories/budgets.ts';
import { TenantRepository } from '../../src/stores/sql/repositories/tenants.ts';
import { verifyLedger } from '../../src/stores/sql/repositories/verify.ts';
import type { SqlStore } from '../../src/stores/sql/sql-store.ts';
import { ending, NOON_MS, starting } from './store-support.ts';

const DAY_MS = 86_400_000;

interface Limit {
  limit: number;
  readonly hard: boolean;
  readonly tokens: boolean;
  /** Name of the window that the moment lies in. */
  readonly window: (atMs: number) => string;
}

interface Part {
  readonly budget: string;
  readonly window: string;
  readonly amount: number;
}

function limits(): Record<string, Limit> {
  return {
    day: { limit: 100, hard: true, tokens: false, window: (atMs) => new Date(atMs).toISOString().slice(0, 10) },
    month: { limit: 150, hard: true, tokens: false, window: (atMs) => new Date(atMs).toISOString().slice(0, 7) },
    total: { limit: 20, hard: false, tokens: true, window: () => '' },
  };
}

/** What the books must say, as simply as it can be written. */
export class Reference {
  readonly limits: Record<string, Limit>;
  readonly reserved = new Map<string, number>();
  readonly settled = new Map<string, number>();
  readonly open = new Map<string, { readonly parts: readonly Part[]; readonly owner: number }>();
  readonly ended = new Map<string, string>();
  nowMs = NOON_MS;
  owner = 0;
  attempts = 0;
  limitsChanged = false;
  /** What the store was told and took, in order. */
  readonly taken: LedgerOperation[] = [];

  constructor(budgeted: boolean) {
    this.limits = budgeted ? limits() : {};
  }

  start(id: string, cost: number, enforce: boolean): string {
    if (this.open.has(id) || this.ended.has(id)) return 'repeated';
    const parts = Object.entries(this.limits).map(([budget, { tokens, window }]) => {
      return { budget, window: `${budget} ${window(this.nowMs)}`, amount: tokens ? 1 : cost };
    });
    const fits = ({ budget, window, amount }: Part): boolean => {
      const { hard, limit } = this.limits[budget] as Limit;
      return !hard || this.#of(this.reserved, window) + this.#of(this.settled, window) + amount <= limit;
    };
    if (enforce && !parts.every(fits)) return 'refused';
    for (const { window, amount } of parts) this.#add(this.reserved, window, amount);
    this.open.set(id, { parts, owner: this.owner });
    return 'done';
  }

  end(id: string, state: EndState, cost: number | null): string {
    const attempt = this.open.get(id);
    if (attempt === undefined) return this.ended.has(id) ? 'late' : 'missing';
    for (const { budget, window, amount } of attempt.parts) {
      const seen = cost === null ? amount : this.limits[budget]?.tokens === true ? 2 : cost;
      const spent = state === 'voided' ? 0 : state === 'unknown' && amount > 0 ? Math.min(amount, seen) : seen;
      this.#add(this.reserved, window, -amount);
      this.#add(this.settled, window, spent);
    }
    this.open.delete(id);
    this.ended.set(id, state);
    return 'done';
  }

  /** The process dies, and another one resolves what it left: all that was set aside is billed. */
  crash(): number {
    const orphans = [...this.open].filter(([, { owner }]) => owner === this.owner);
    for (const [id] of orphans) this.end(id, 'unknown', null);
    this.owner++;
    return orphans.length;
  }

  #of(amounts: Map<string, number>, window: string): number {
    return amounts.get(window) ?? 0;
  }

  #add(amounts: Map<string, number>, window: string, amount: number): void {
    amounts.set(window, this.#of(amounts, window) + amount);
  }
}

/** The store under test: one organisation of its own, so that runs do not see each other. */
export interface Real {
  readonly store: SqlStore;
  readonly organisationId: string;
}

export async function prepared(store: SqlStore, organisationId: string, budgeted: boolean): Promise<Real> {
  const tenants = new TenantRepository(store.db);
  await tenants.createOrganisation({ organisationId, name: organisationId, createdAtMs: 0 });
  await tenants.createProject({ organisationId, projectId: 'p', name: 'p', createdAtMs: 0 });
  if (budgeted) await createBudgets(new BudgetRepository(store.db), organisationId);
  return { store, organisationId };
}

async function createBudgets(budgets: BudgetRepository, organisationId: string): Promise<void> {
  const budget = { organisationId, hard: true, unit: 'usd', createdAtMs: 0 } as const;
  await budgets.create({ ...budget, budgetId: 'day', scope: 'project', scopeId: 'p', window: 'day', limit: 100 });
  await budgets.create({ ...budget, budgetId: 'month', scope: 'key', scopeId: 'k', window: 'month', limit: 150 });
  const tokens = { ...budget, unit: 'tokens', hard: false } as const;
  await budgets.create({
    ...tokens,
    budgetId: 'total',
    scope: 'organisation',
    scopeId: organisationId,
    window: 'total',
    limit: 20,
  });
}

type Step =
  | { readonly kind: 'start'; readonly cost: number; readonly enforce: boolean }
  | { readonly kind: 'again'; readonly which: number; readonly cost: number }
  | { readonly kind: 'end'; readonly which: number; readonly state: EndState; readonly cost: number };

class Together implements fc.AsyncCommand<Reference, Real> {
  readonly #steps: readonly Step[];

  constructor(steps: readonly Step[]) {
    this.#steps = steps;
  }

  check(): boolean {
    return true;
  }

  async run(model: Reference, real: Real): Promise<void> {
    const [operations, expected]: [LedgerOperation[], string[]] = [[], []];
    for (const step of this.#steps) {
      const id = step.kind === 'start' ? `a${model.attempts++}` : `a${step.which % (model.attempts + 1)}`;
      const cost = step.cost;
      if (step.kind === 'end') {
        expected.push(model.end(id, step.state, cost));
        const tokens = { inputTokens: 1, outputTokens: 1 };
        operations.push(ending(id, { ...tokens, state: step.state, costNanoUsd: cost }, real.organisationId));
      } else {
        const enforce = step.kind === 'again' || step.enforce;
        expected.push(model.start(id, cost, enforce));
        operations.push(
          starting(
            id,
            {
              requestId: id,
              payer: { organisationId: real.organisationId, projectId: 'p', keyId: 'k' },
              startedAtMs: model.nowMs,
              reservedNanoUsd: cost,
              reservedTokens: 1,
            },
            enforce,
          ),
        );
      }
    }
    const results = await real.store.commit(ownerOf(model, real), operations);
    mustEqual(
      results.map(({ kind }) => kind),
      expected,
    );
    model.taken.push(...operations.filter((_, index) => results[index]?.kind === 'done'));
    await compare(model, real);
  }

  toString(): string {
    return `together(${JSON.stringify(this.#steps)})`;
  }
}

class Crash implements fc.AsyncCommand<Reference, Real> {
  check(): boolean {
    return true;
  }

  async run(model: Reference, real: Real): Promise<void> {
    const owner = ownerOf(model, real);
    const expected = model.crash();
    mustEqual(await real.store.resolveOrphans(owner, model.nowMs), expected);
    await compare(model, real);
  }

  toString(): string {
    return 'crash';
  }
}

/** All that was taken lately comes once more, as from a file that was handed on twice: it changes nothing. */
class Replay implements fc.AsyncCommand<Reference, Real> {
  readonly #howMany: number;

  constructor(howMany: number) {
    this.#howMany = howMany;
  }

  check({ taken }: Readonly<Reference>): boolean {
    return taken.length > 0;
  }

  async run(model: Reference, real: Real): Promise<void> {
    const again = model.taken.slice(-this.#howMany);
    const results = await real.store.commit(ownerOf(model, real), again);
    mustEqual(
      results.map(({ kind }) => kind),
      again.map(({ kind }) => (kind === 'start' ? 'repeated' : 'late')),
    );
    await compare(model, real);
  }

  toString(): string {
    return `replay(${this.#howMany})`;
  }
}

/** The books are checked in the middle of everything: what is wrong only for a moment is wrong too. */
class Verify implements fc.AsyncCommand<Reference, Real> {
  check(): boolean {
    return true;
  }

  async run(model: Reference, real: Real): Promise<void> {
    mustEqual(await findings(model, real), []);
  }

  toString(): string {
    return 'verify';
  }
}

/** Steps of the wall clock, in both directions, and over the ends of windows. */
class ClockStep implements fc.AsyncCommand<Reference, Real> {
  readonly #days: number;

  constructor(days: number) {
    this.#days = days;
  }

  check(): boolean {
    return true;
  }

  async run(model: Reference): Promise<void> {
    model.nowMs += this.#days * DAY_MS;
  }

  toString(): string {
    return `clock(${this.#days} days)`;
  }
}

class LimitChange implements fc.AsyncCommand<Reference, Real> {
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  check({ limits: { day } }: Readonly<Reference>): boolean {
    return day !== undefined;
  }

  async run(model: Reference, { store, organisationId }: Real): Promise<void> {
    const budgets = new BudgetRepository(store.db);
    const day = (await budgets.states(model.nowMs, { organisationId })).find(({ budgetId }) => budgetId === 'day');
    const at = { organisationId, budgetId: 'day', revision: day?.revision ?? 0 };
    await budgets.changeLimit(at, this.#limit, model.nowMs);
    model.limitsChanged = true;
    if (model.limits['day'] !== undefined) model.limits['day'].limit = this.#limit;
  }

  toString(): string {
    return `limit(${this.#limit})`;
  }
}

const cost = fc.integer({ min: 0, max: 60 });
const which = fc.nat({ max: 12 });
const state = fc.constantFrom<EndState>('settled', 'settled', 'voided', 'unknown');
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    arbitrary: fc.record({ kind: fc.constant('start' as const), cost, enforce: fc.constantFrom(true, true, false) }),
    weight: 4,
  },
  { arbitrary: fc.record({ kind: fc.constant('end' as const), which, state, cost }), weight: 4 },
  { arbitrary: fc.record({ kind: fc.constant('again' as const), which, cost }), weight: 1 },
);

export const ledgerCommands = fc.commands(
  [
    fc.array(step, { minLength: 1, maxLength: 6 }).map((steps) => new Together(steps)),
    fc.array(step, { minLength: 1, maxLength: 6 }).map((steps) => new Together(steps)),
    fc.constant(new Crash()),
    fc.constant(new Verify()),
    fc.integer({ min: 1, max: 30 }).map((howMany) => new Replay(howMany)),
    fc.integer({ min: -40, max: 40 }).map((days) => new ClockStep(days)),
    fc.integer({ min: 0, max: 200 }).map((limit) => new LimitChange(limit)),
  ],
  { maxCommands: 25 },
);

const ownerOf = (model: Reference, { organisationId }: Real): string => `${organisationId} process ${model.owner}`;

async function compare(model: Reference, { store, organisationId }: Real): Promise<void> {
  const rows = await store.db
    .selectFrom('budget_window')
    .selectAll()
    .where('organisation_id', '=', organisationId)
    .execute();
  for (const row of rows) {
    const window = `${row.budget_id} ${model.limits[row.budget_id]?.window(row.window_start_ms)}`;
    const expected = [model.reserved.get(window) ?? 0, model.settled.get(window) ?? 0];
    mustEqual({ window, amounts: [row.reserved, row.settled] }, { window, amounts: expected });
  }
  mustEqual([...model.reserved.values()].filter((amount) => amount > 0).length <= rows.length, true);
}

/** At the end of a run: the attempts are as the model has them, and the books have nothing to object to. */
export async function compareAtEnd(model: Reference, { store, organisationId }: Real): Promise<void> {
  const rows = await store.db
    .selectFrom('ledger_attempt')
    .select(['attempt_id', 'state'])
    .where('organisation_id', '=', organisationId)
    .execute();
  const expected = [...model.ended, ...[...model.open.keys()].map((id) => [id, 'reserved'] as const)];
  mustEqual(
    rows.map((row) => `${row.attempt_id} ${row.state}`).sort(),
    expected.map(([id, name]) => `${id} ${name}`).sort(),
  );
  mustEqual(await findings(model, { store, organisationId }), []);
}

/** What the books have to object to. */
async function findings({ limitsChanged }: Reference, { store, organisationId }: Real) {
  const { findings: all } = await verifyLedger(store);
  // A limit that went down on a clock that steps leaves windows behind that nobody can judge any more.
  return all.filter((found) => found.organisationId === organisationId && (found.rule !== 'I1' || !limitsChanged));
}

const TABLES = ['ledger_attempt', 'budget_window', 'budget'] as const;

/** Every row of the tenant, as text. */
export async function rowsOf({ store, organisationId }: Real): Promise<readonly string[]> {
  const rows: string[] = [];
  for (const table of TABLES) {
    const found = await store.db.selectFrom(table).selectAll().where('organisation_id', '=', organisationId).execute();
    rows.push(...found.map((row) => `${table} ${JSON.stringify(row)}`).sort());
  }
  return rows;
}

/** Another tenant with budgets and calls of the same names: what the commands do is nothing to it. */
export async function neighbour(store: SqlStore, budgeted: boolean): Promise<Real> {
  const real = await prepared(store, 'neighbour', budgeted);
  const payer = { organisationId: 'neighbour', projectId: 'p', keyId: 'k' };
  const operations = Array.from({ length: 14 }, (_, index) => starting(`a${index}`, { payer, reservedNanoUsd: 1 }));
  await store.commit('neighbour process', [...operations, ending('a0', {}, 'neighbour')]);
  return real;
}

export function mustEqual(found: unknown, expected: unknown): void {
  if (!Bun.deepEquals(found, expected)) {
    throw new Error(`found ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`);
  }
}
