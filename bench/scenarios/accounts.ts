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
const CONNECTIONS = 32;
const MOST_ADDED_MICROS = 25;
/** The ledger writes to its journal at once and to the store within a second: both count. */
const SETTLE_MS = 1_300;
/** Requests a second; null: as many as one core serves. */
const RATES = [null, 1_000, 200] as const;

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
      await cpuMicrosPerRequest(gateway, null, context.quick ? 1_000 : 3_000, 0);
    }
    const figures: Figure[] = [];
    for (const perSecond of RATES) figures.push(await figureAt(context, gateways, perSecond));
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

async function figureAt(context: BenchContext, gateways: readonly Counted[], perSecond: number | null) {
  const rounds = perSecond === null ? 5 : 3;
  const where = perSecond === null ? 'saturated' : `${perSecond} requests/s`;
  const samples = await interleaved(gateways, context.quick ? 2 : rounds, (gateway, round) => {
    context.progress(`${where}, round ${round + 1}: ${gateway.name}`);
    return cpuMicrosPerRequest(gateway, perSecond, context.quick ? 1_500 : 3_500, round);
  });
  return figureOf(samples, perSecond);
}

async function cpuMicrosPerRequest(
  { name, pid, port, requests }: Counted,
  perSecond: number | null,
  durationMs: number,
  seed: number,
): Promise<number> {
  if (pid === null) throw new Error(`${name} has no process to measure`);
  const load = { port, request: inTurn(requests), durationMs };
  const beforeMs = cpuMs(pid);
  let [good, errors] = [0, 0];
  if (perSecond === null) ({ requests: good, errors } = await closedLoop({ ...load, connections: CONNECTIONS }));
  else {
    const result = await openLoop({ ...load, perSecond, random: seededRandom(seed) });
    [good, errors] = [result.wholeMs.length - result.errors, result.errors];
  }
  await Bun.sleep(SETTLE_MS);
  const afterMs = cpuMs(pid);
  refuseErrors(name, errors, good);
  return ((afterMs - beforeMs) * 1_000) / good;
}

function figureOf(samples: ReadonlyMap<string, readonly number[]>, perSecond: number | null): Figure {
  const rounds = (name: string): readonly number[] => samples.get(name) ?? [];
  const added = (name: string): number =>
    median(rounds(name).map((value, round) => value - (rounds(WITHOUT)[round] ?? Number.NaN)));
  const claims = [SOFT, HARD].map((name) => ({ claim: `accounts with ${name} add`, value: added(name) }));
  const load =
    perSecond === null
      ? `${CONNECTIONS} connections, each sends its next request when the last was answered.`
      : `${perSecond} requests a second at random moments.`;
  return {
    id: perSecond === null ? 'accounts-cpu' : `accounts-cpu-${perSecond}`,
    title:
      perSecond === null
        ? 'CPU per whole request with accounts'
        : `CPU per whole request with accounts, ${perSecond} requests a second`,
    unit: 'µs',
    settings: [
      `${load} SWARMROUTER_ASSEMBLE=false; the model has a price.`,
      `${KEYS} client keys in turn, in ${PROJECTS} projects. Each key has limits (requests and tokens a minute, requests at once) and a monthly budget, and so have each project and the organisation: soft ones, which only warn, or hard ones, which are asked before the call is made. SQLite, in the gateway's data folder.`,
      'User and system time of the whole process from /proc, until the store has all of it: group commits, the journal and SQLite’s thread included.',
    ],
    measurements: [WITHOUT, SOFT, HARD].map((name) => measurement(name, rounds(name))),
    judgements:
      perSecond === null
        ? claims.map(({ claim, value }) => judge(claim, value, 'µs', 'at most', MOST_ADDED_MICROS))
        : [],
    comparisons: perSecond === null ? [] : claims.map(({ claim, value }) => ({ claim, value, unit: 'µs' })),
  };
}
