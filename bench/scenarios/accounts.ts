import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fillAccounts } from '../accounts/data-folder.ts';
import { closedLoop, inTurn, openLoop } from '../load.ts';
import { cpuMs } from '../process.ts';
import { type Figure, judge } from '../result.ts';
import { median, seededRandom } from '../statistics.ts';
import { type Subject, startGateway } from '../subjects.ts';
import { httpRequest, MODEL, requestBody } from '../wire.ts';
import { type BenchContext, interleaved, measurement, refuseErrors } from './scenario.ts';

const KEYS = 1_000;
const PROJECTS = 10;
/** An answer waits up to 5 ms for the group commit: fewer clients would leave the core without work half of the time. */
const SATURATING_CONNECTIONS = 256;
const MOST_ADDED_MICROS = 25;
/** The ledger writes to its journal at once and to the store within a second: both count. */
const SETTLE_MS = 1_300;
const WARM_REQUESTS = 25_000;

type Load =
  /** Each connection sends its next request when the last was answered. */
  { readonly kind: 'closed'; readonly connections: number } | { readonly kind: 'open'; readonly perSecond: number };

const SATURATED: Load = { kind: 'closed', connections: SATURATING_CONNECTIONS };
const LOADS: readonly Load[] = [
  SATURATED,
  { kind: 'closed', connections: 32 },
  { kind: 'open', perSecond: 1_000 },
  { kind: 'open', perSecond: 200 },
];

const WITHOUT = 'no store';
const SOFT = 'soft budgets';
const HARD = 'hard budgets';

/** A gateway, and the requests of its keys in turn. */
interface Counted extends Subject {
  readonly requests: readonly Buffer[];
}

/** What it costs a request that its key is checked and limited, and that it is paid for and on record. */
export async function accounts(context: BenchContext): Promise<readonly Figure[]> {
  await context.upstream.pace({ tokens: 16, intervalMs: 0 });
  const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-bench-accounts-'));
  try {
    const gateways = [
      await gatewayWith(context, WITHOUT, null),
      await gatewayWith(context, SOFT, await filled(folder, 'soft')),
      await gatewayWith(context, HARD, await filled(folder, 'hard')),
    ];
    for (const gateway of gateways) {
      context.progress(`warming: ${gateway.name}`);
      await warm(gateway, context.quick ? 5_000 : WARM_REQUESTS);
    }
    const figures: Figure[] = [];
    for (const load of LOADS) figures.push(await figureAt(context, gateways, load));
    for (const gateway of gateways) await gateway.stop();
    return figures;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Folder {
  readonly dataDir: string;
  readonly keys: readonly string[];
}

async function filled(folder: string, budgets: 'soft' | 'hard'): Promise<Folder> {
  const dataDir = join(folder, budgets);
  return { dataDir, keys: await fillAccounts(dataDir, { keys: KEYS, projects: PROJECTS, budgets }) };
}

async function gatewayWith(context: BenchContext, name: string, folder: Folder | null): Promise<Counted> {
  const gateway = context.keep(
    await startGateway(context.upstream.url, {
      assemble: false,
      // A price, so that money is counted.
      settings: { prices: [{ model: MODEL, input_usd_per_mtok: 0.15, output_usd_per_mtok: 0.6 }] },
      ...(folder === null ? {} : { dataDir: folder.dataDir }),
    }),
  );
  const keys = folder === null ? ['bench'] : folder.keys;
  return { ...gateway, name, requests: keys.map((key) => httpRequest(gateway.port, requestBody(false), key)) };
}

/** As many requests for each: what their threads compile is then behind them all alike. */
async function warm({ name, port, requests }: Counted, count: number): Promise<void> {
  const load = { port, request: inTurn(requests), connections: SATURATING_CONNECTIONS, durationMs: 500 };
  for (let done = 0; done < count; ) {
    const result = await closedLoop(load);
    refuseErrors(name, result.errors, result.requests);
    done += result.requests;
  }
  await Bun.sleep(SETTLE_MS);
}

async function figureAt(context: BenchContext, gateways: readonly Counted[], load: Load): Promise<Figure> {
  const rounds = load === SATURATED ? 5 : 3;
  const samples = await interleaved(gateways, context.quick ? 2 : rounds, (gateway, round) => {
    context.progress(`${nameOf(load)}, round ${round + 1}: ${gateway.name}`);
    return cpuMicrosPerRequest(gateway, load, context.quick ? 1_500 : 2_500, round);
  });
  return figureOf(samples, load);
}

async function cpuMicrosPerRequest(
  { name, pid, port, requests }: Counted,
  load: Load,
  durationMs: number,
  seed: number,
): Promise<number> {
  if (pid === null) throw new Error(`${name} has no process to measure`);
  const sent = { port, request: inTurn(requests), durationMs };
  const beforeMs = cpuMs(pid);
  const { good, errors } = await answered(sent, load, seed);
  await Bun.sleep(SETTLE_MS);
  const afterMs = cpuMs(pid);
  refuseErrors(name, errors, good);
  return ((afterMs - beforeMs) * 1_000) / good;
}

type Sent = Pick<Parameters<typeof closedLoop>[0], 'port' | 'request' | 'durationMs'>;

async function answered(sent: Sent, load: Load, seed: number): Promise<{ readonly good: number; errors: number }> {
  if (load.kind === 'closed') {
    const { requests, errors } = await closedLoop({ ...sent, connections: load.connections });
    return { good: requests, errors };
  }
  const { wholeMs, errors } = await openLoop({ ...sent, perSecond: load.perSecond, random: seededRandom(seed) });
  return { good: wholeMs.length - errors, errors };
}

function nameOf(load: Load): string {
  if (load.kind === 'open') return `${load.perSecond} requests a second`;
  return `${load.connections} connections`;
}

function figureOf(samples: ReadonlyMap<string, readonly number[]>, load: Load): Figure {
  const rounds = (name: string): readonly number[] => samples.get(name) ?? [];
  const added = (name: string): number =>
    median(rounds(name).map((value, round) => value - (rounds(WITHOUT)[round] ?? Number.NaN)));
  const claims = [SOFT, HARD].map((name) => ({
    claim: `accounts with ${name} add, ${nameOf(load)}`,
    value: added(name),
    unit: 'µs',
  }));
  const isJudged = load === SATURATED;
  return {
    id: `accounts-cpu-${load.kind === 'closed' ? `${load.connections}-connections` : `${load.perSecond}-a-second`}`,
    title: `CPU per whole request with accounts, ${nameOf(load)}`,
    unit: 'µs',
    settings: [
      load.kind === 'open'
        ? `${load.perSecond} requests a second at random moments.`
        : `${load.connections} connections, each sends its next request when the last was answered.${isJudged ? ' So many keep the core busy, though an answer waits up to 5 ms until it is on record.' : ''}`,
      `SWARMROUTER_ASSEMBLE=false; the model has a price. ${KEYS} client keys in turn, in ${PROJECTS} projects. Each key has limits (requests and tokens a minute, requests at once). Each key, each project and the organisation have a monthly budget: soft ones, which only warn, or hard ones, which are asked before the call is made. SQLite, in the gateway's data folder.`,
      'User and system time of the whole process from /proc, until the store has all of it: group commits, the journal and SQLite’s thread included.',
    ],
    measurements: [WITHOUT, SOFT, HARD].map((name) => measurement(name, rounds(name))),
    judgements: isJudged
      ? claims.map(({ claim, value }) => judge(claim, value, 'µs', 'at most', MOST_ADDED_MICROS))
      : [],
    comparisons: isJudged ? [] : claims,
  };
}
