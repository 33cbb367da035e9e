import { join } from 'node:path';
import { type Figure, judge } from '../result.ts';
import { type BenchContext, measurement } from './scenario.ts';

const ROOT = join(import.meta.dir, '..', '..');
const SOAK_S = 300;
const REQUESTS = 20_000;

/** What `npm run chaos -- --json` says, as far as it is used here. */
interface ChaosResult {
  readonly requests: number;
  readonly attempts: number;
  readonly failedOver: number;
  readonly violations: Readonly<Record<string, number>>;
  readonly slowestCancelMs: number;
  readonly memory: {
    readonly firstMegabytes: number;
    readonly lastMegabytes: number;
    readonly growthMegabytes: number;
  };
}

/** Random faults of every kind, judged one by one, and five minutes of them at a steady rate: does memory stay flat? */
export async function soak(context: BenchContext): Promise<readonly Figure[]> {
  const [requests, seconds] = context.quick ? [2_000, 30] : [REQUESTS, SOAK_S];
  context.progress(`${requests} requests with faults, then ${seconds} s of them`);
  const flags = ['--requests', String(requests), '--seed', '1', '--soak', String(seconds), '--json'];
  const child = Bun.spawn(['node', join(ROOT, 'bin', 'run.mjs'), join('chaos', 'main.ts'), ...flags], {
    cwd: ROOT,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'ignore',
  });
  const text = await new Response(child.stdout).text();
  await child.exited;
  return [figureOf(JSON.parse(text) as ChaosResult, seconds)];
}

function figureOf(result: ChaosResult, seconds: number): Figure {
  const { memory } = result;
  const violations = Object.values(result.violations).reduce((sum, count) => sum + count, 0);
  return {
    id: 'soak',
    title: 'Random faults, and a soak with them',
    unit: 'MB',
    settings: [
      `\`npm run chaos\`: ${result.requests} requests and ${result.attempts} upstream calls over nine servers of every wire, a quarter of the calls with a fault, servers killed and started, clients that leave; then ${seconds} s at a steady rate. Not pinned to cores.`,
      'Resident memory of the gateway over the last two thirds of the soak.',
    ],
    measurements: [measurement('at first', [memory.firstMegabytes]), measurement('at last', [memory.lastMegabytes])],
    judgements: [
      judge('requests lost, doubled, mixed up, hung, cut in silence or wrongly failed', violations, '', 'at most', 0),
      judge('growth of the line through the memory of the soak', memory.growthMegabytes, 'MB', 'at most', 16),
      judge('upstream closed after its client left, slowest', result.slowestCancelMs, 'ms', 'at most', 100),
    ],
    comparisons: [{ claim: 'failures that no client saw', value: result.failedOver, unit: 'requests' }],
  };
}
