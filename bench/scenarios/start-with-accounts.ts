import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fillAccounts } from '../accounts/data-folder.ts';
import { fillCalls } from '../ledger/fill.ts';
import { type Figure, judge } from '../result.ts';
import { type BenchContext, interleaved, measurement } from './scenario.ts';
import { gatewayReadyMs } from './start-and-rest.ts';

const KEYS = 10_000;
const CALLS = 1_000_000;
const READY_LIMIT_MS = 1_000;

/** How soon a gateway answers that has many keys and a long history. */
export async function startWithAccounts(context: BenchContext): Promise<readonly Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-bench-start-'));
  try {
    const dataDir = join(folder, 'data');
    const calls = context.quick ? CALLS / 10 : CALLS;
    context.progress(`writing ${calls} calls and ${KEYS} keys`);
    await fillCalls(dataDir, KEYS, calls);
    await fillAccounts(dataDir, { keys: KEYS, projects: 10, budgets: 'soft' });
    const ways = [
      { name: 'new data folder', ready: () => gatewayReadyMs(context, {}) },
      { name: 'keys and history', ready: () => gatewayReadyMs(context, { dataDir }) },
    ];
    const samples = await interleaved(ways, context.quick ? 3 : 7, (way, round) => {
      context.progress(`start ${round + 1}: ${way.name}`);
      return way.ready();
    });
    const measurements = ways.map(({ name }) => measurement(name, samples.get(name) ?? []));
    return [
      {
        id: 'ready-with-accounts',
        title: 'From the command to ready, with keys and a history',
        unit: 'ms',
        settings: [
          `${KEYS} client keys with limits and a budget each, and ${calls} calls on record, in SQLite. As "from the command to ready" otherwise.`,
        ],
        measurements,
        judgements: measurements
          .slice(1)
          .map(({ median }) => judge(`ready, ${KEYS} keys and ${calls} calls`, median, 'ms', 'under', READY_LIMIT_MS)),
        comparisons: [],
      },
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
