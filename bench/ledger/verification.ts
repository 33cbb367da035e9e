import { Database } from 'bun:sqlite';
import { join } from 'node:path';
import { freezeEndedAttempts } from '../../src/stores/sql/migrations/frozen-rows.ts';
import { verifyLedger } from '../../src/stores/sql/repositories/verify.ts';
import { openSqliteStore } from '../../src/stores/sqlite/sqlite-store.ts';
import { systemClock } from '../../src/system-clock.ts';
import { type CallFigures, ledgerOver, measureCalls } from './calls.ts';

type Beside = Pick<CallFigures, 'endP50Ms' | 'endP99Ms' | 'loopDelayP99Ms'>;

export interface VerificationFigures {
  readonly attempts: number;
  /** What they count in budgets: two each, of their key and of the organisation. */
  readonly parts: number;
  readonly windows: number;
  /** By itself, ms. */
  readonly aloneMs: number;
  /** While calls go on, ms. */
  readonly besideCallsMs: number;
  /** Calls by themselves, and while a check runs. */
  readonly callsAlone: Beside;
  readonly callsBeside: Beside;
}

const CALLS = { callsPerSecond: 200, seconds: 5, path: 'journal', budgets: 0 } as const;
const DAY_MS = 86_400_000;

/** What a check of all of the ledger takes, and what it takes from the calls that go on meanwhile. */
export async function measureVerification(dataDir: string): Promise<VerificationFigures> {
  addBudgets(join(dataDir, 'swarmrouter.db'));
  const store = await openSqliteStore({ dataDir, clock: systemClock });
  const ledger = await ledgerOver(store, dataDir);
  const beganAtMs = performance.now();
  const { attempts, parts, windows, findings } = await verifyLedger(store);
  const aloneMs = performance.now() - beganAtMs;
  if (findings.length > 0) throw new Error(`the rows of this measurement are wrong: ${JSON.stringify(findings[0])}`);
  const callsAlone = await measureCalls(ledger, CALLS);
  const [besideCallsMs, callsBeside] = await Promise.all([
    timed(() => verifyLedger(store)),
    measureCalls(ledger, CALLS),
  ]);
  await ledger.close();
  await store.close();
  return {
    ...{ attempts, parts, windows, aloneMs, besideCallsMs },
    ...{ callsAlone: besideOf(callsAlone), callsBeside: besideOf(callsBeside) },
  };
}

function besideOf({ endP50Ms, endP99Ms, loopDelayP99Ms }: CallFigures): Beside {
  return { endP50Ms, endP99Ms, loopDelayP99Ms };
}

/** As if every key and the organisation had had a budget all the time. In SQL: a million calls would take minutes. */
function addBudgets(path: string): void {
  const db = new Database(path);
  const budget = "'usd', 1000000000000000, 1, 0, null, null, 1";
  db.run(`insert into budget select 'default', 'all', 'organisation', 'default', 'total', ${budget}`);
  db.run(`insert into budget select organisation_id, 'of ' || key_id, 'key', key_id, 'day', ${budget} from client_key`);
  db.run('drop trigger ledger_attempt_frozen');
  db.run(`update ledger_attempt set budget_parts =
    json_array(json_array('all', 'usd', 0, 1), json_array('of ' || key_id, 'usd', started_at_ms - started_at_ms % ${DAY_MS}, 1))`);
  for (const text of freezeEndedAttempts('sqlite').slice(0, 1)) db.run(text);
  db.run(`insert into budget_window select organisation_id, budget_id, window_start_ms, 0, sum(settled)
    from budget_part group by organisation_id, budget_id, window_start_ms`);
  db.close();
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const atMs = performance.now();
  await work();
  return performance.now() - atMs;
}
