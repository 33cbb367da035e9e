/** `npm run bench:ledger -- --help` */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BudgetRepository } from '../../src/stores/sql/repositories/budgets.ts';
import { openSqliteStore } from '../../src/stores/sqlite/sqlite-store.ts';
import { systemClock } from '../../src/system-clock.ts';
import { describeCommit, describeMachine, describeVersions } from '../machine.ts';
import { rounded } from '../result.ts';
import { type CallFigures, ledgerOver, measureCalls } from './calls.ts';
import { measureStart } from './start.ts';
import { measureCommits } from './thread.ts';
import { measureVerification } from './verification.ts';

const HELP = `Measures the ledger over SQLite: what a call costs, what a commit holds up, how long a start and a check
of all of it take. Three minutes.

  npm run bench:ledger              all of it; writes bench/ledger/results/<date>.json
  npm run bench:ledger -- --verification   the check alone; writes bench/ledger/results/<date>-verification.json
  npm run bench:ledger -- --quick   short rounds and a tenth of the rows; prints, writes nothing`;

const BUDGETED_KEYS = 1_000;
const PATHS = [
  { path: 'journal', budgets: 0 },
  { path: 'store', budgets: 0 },
  // One for each key, for the project and for the organisation.
  { path: 'store', budgets: BUDGETED_KEYS + 2 },
] as const;

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    verification: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) console.log(HELP);
else await main(values.quick, values.verification);

async function main(quick: boolean, verificationOnly: boolean): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-bench-ledger-'));
  const sub = (name: string): string => {
    const path = join(folder, name);
    mkdirSync(path);
    return path;
  };
  try {
    const calls = verificationOnly ? [] : await measureRates(sub('calls'), quick ? 2 : 10);
    const commits = verificationOnly ? [] : await measureBatches(sub);
    const many = sub('start');
    const start = await measureStart(many, 10_000, quick ? 100_000 : 1_000_000);
    const verification = await measureVerification(many);
    const result = {
      date: new Date().toISOString().slice(0, 10),
      commit: describeCommit(),
      machine: describeMachine(),
      versions: describeVersions(),
      ...(verificationOnly ? {} : { calls, commits }),
      start,
      verification,
    };
    const json = `${JSON.stringify(result, (_, value) => (typeof value === 'number' ? rounded(value) : value), 2)}\n`;
    console.log(json);
    if (quick) return;
    const results = join(import.meta.dir, 'results');
    mkdirSync(results, { recursive: true });
    writeFileSync(join(results, `${result.date}${verificationOnly ? '-verification' : ''}.json`), json);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measureBatches(sub: (name: string) => string) {
  return [...(await measureCommits(sub('one'), 1)), ...(await measureCommits(sub('twenty'), 20))];
}

/** Without budgets as a single user has it, the same without the journal, then under hard budgets. */
async function measureRates(dataDir: string, seconds: number): Promise<readonly CallFigures[]> {
  const store = await openSqliteStore({ dataDir, clock: systemClock });
  const ledger = await ledgerOver(store, dataDir);
  const figures: CallFigures[] = [];
  const RATES = [200, 1_000, 3_000];
  await measureCalls(ledger, { callsPerSecond: 1_000, seconds: 2, path: 'journal', budgets: 0 });
  const idle = new Map<number, number>();
  for (const callsPerSecond of RATES) {
    const alone = await measureCalls(null, { callsPerSecond, seconds, path: 'journal', budgets: 0 });
    idle.set(callsPerSecond, alone.cpuMicrosecondsPerCall);
  }
  for (const { path, budgets } of PATHS) {
    if (budgets > 0) await createBudgets(new BudgetRepository(store.db));
    for (const callsPerSecond of RATES) {
      const figure = await measureCalls(ledger, { callsPerSecond, seconds, path, budgets });
      const own = figure.cpuMicrosecondsPerCall - (idle.get(callsPerSecond) ?? 0);
      figures.push({ ...figure, cpuMicrosecondsPerCall: own });
    }
  }
  await ledger.close();
  await store.close();
  return figures;
}

async function createBudgets(budgets: BudgetRepository): Promise<void> {
  const budget = {
    organisationId: 'default',
    window: 'month',
    unit: 'usd',
    limit: 1e15,
    hard: true,
    createdAtMs: 0,
  } as const;
  await budgets.create({ ...budget, budgetId: 'organisation', scope: 'organisation', scopeId: 'default' });
  await budgets.create({ ...budget, budgetId: 'project', scope: 'project', scopeId: 'default' });
  for (let key = 0; key < BUDGETED_KEYS; key++) {
    await budgets.create({ ...budget, budgetId: `key-${key}`, scope: 'key', scopeId: `key-${key}` });
  }
}
