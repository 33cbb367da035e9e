import { closedLoop } from '../load.ts';
import { rssKb } from '../process.ts';
import { type Figure, judge } from '../result.ts';
import { median } from '../statistics.ts';
import { type GatewayOptions, hasCompiled, spawnGateway, startBare, startGateway, untilHealthy } from '../subjects.ts';
import { httpRequest, requestBody } from '../wire.ts';
import { type BenchContext, interleaved, measurement, refuseErrors } from './scenario.ts';

const READY_LIMIT_MS = 300;
const IDLE_LIMIT_MB = 90;
const REST_MS = 5_000;
const REQUESTS_BEFORE_REST = 1_000;

/** How soon it answers, and what it takes when nobody asks. */
export async function startAndRest(context: BenchContext): Promise<readonly Figure[]> {
  return [await readyFigure(context), await idleFigure(context)];
}

async function readyFigure(context: BenchContext): Promise<Figure> {
  const ways = [
    { name: 'bare', ready: () => bareReadyMs(context) },
    { name: 'gateway', ready: () => gatewayReadyMs(context, {}) },
    ...(hasCompiled()
      ? [{ name: 'gateway, executable', ready: () => gatewayReadyMs(context, { compiled: true }) }]
      : []),
  ];
  context.progress('starting each ten times');
  const samples = await interleaved(ways, context.quick ? 5 : 10, (way) => way.ready());
  const measurements = ways.map((way) => measurement(way.name, samples.get(way.name) ?? []));
  return {
    id: 'ready',
    title: 'From the command to ready',
    unit: 'ms',
    settings: [
      'From the spawn of the launcher (Node, which starts Bun) to the first 200 of /health, asked every 2 ms; a new data folder each time, so the admin key is made as well.',
      'Bare: from the spawn to its printed port. Disk cache warm.',
    ],
    measurements,
    judgements: measurements
      .filter((entry) => entry.subject !== 'bare')
      .map((entry) => judge(`ready, ${entry.subject}`, entry.median, 'ms', 'under', READY_LIMIT_MS)),
    comparisons: [],
  };
}

/** From the spawn of the launcher to the first 200, ms. */
export async function gatewayReadyMs(
  context: BenchContext,
  options: Pick<GatewayOptions, 'compiled' | 'dataDir'>,
): Promise<number> {
  const startedAtMs = performance.now();
  const gateway = await spawnGateway(context.upstream.url, { assemble: true, ...options });
  try {
    await untilHealthy(gateway, 10_000);
    return performance.now() - startedAtMs;
  } catch (error) {
    throw new Error(`${String(error)}\nThe gateway said:\n${gateway.output().slice(0, 2_000)}`);
  } finally {
    await gateway.stop();
  }
}

async function bareReadyMs(context: BenchContext): Promise<number> {
  const startedAtMs = performance.now();
  const bare = await startBare('whole', context.upstream.url);
  const readyMs = performance.now() - startedAtMs;
  await bare.stop();
  return readyMs;
}

interface Rest {
  readonly name: string;
  readonly freshMb: number;
  readonly usedMb: number;
  readonly launcherMb: number | null;
}

async function idleFigure(context: BenchContext): Promise<Figure> {
  const { upstream } = context;
  await upstream.pace({ tokens: 16, intervalMs: 0 });
  context.progress(`resting for ${REST_MS / 1000} s, then ${REQUESTS_BEFORE_REST} requests, then resting again`);
  const bare = await restOf(context, 'bare whole', () => startBare('whole', upstream.url));
  const gateways: Rest[] = [];
  for (let round = 0; round < (context.quick ? 1 : 3); round++) {
    gateways.push(await restOf(context, 'gateway', () => startGateway(upstream.url, { assemble: true })));
  }
  const fresh = measurement(
    'gateway, just started',
    gateways.map((rest) => rest.freshMb),
  );
  const used = measurement(
    `gateway, after ${REQUESTS_BEFORE_REST} requests`,
    gateways.map((rest) => rest.usedMb),
  );
  const launchers = gateways.map((rest) => rest.launcherMb ?? 0);
  return {
    id: 'idle-memory',
    title: 'Resident memory at rest',
    unit: 'MB',
    settings: [
      `${REST_MS / 1000} s after ready, and ${REST_MS / 1000} s after ${REQUESTS_BEFORE_REST} whole requests. VmRSS of the gateway's own process.`,
      'The Node process that launches it waits beside it; the compiled executable needs none.',
    ],
    measurements: [
      measurement('bare, just started', [bare.freshMb]),
      measurement(`bare, after ${REQUESTS_BEFORE_REST} requests`, [bare.usedMb]),
      fresh,
      used,
    ],
    judgements: [fresh, used].map((entry) =>
      judge(`idle RSS, ${entry.subject}`, entry.median, 'MB', 'under', IDLE_LIMIT_MB),
    ),
    comparisons: [{ claim: 'resident memory of the Node launcher', value: median(launchers), unit: 'MB' }],
  };
}

async function restOf(
  context: BenchContext,
  name: string,
  start: () => ReturnType<typeof startGateway>,
): Promise<Rest> {
  const subject = context.keep(await start());
  const { pid, port } = subject;
  if (pid === null) throw new Error(`${name} has no process to measure`);
  await Bun.sleep(REST_MS);
  const freshMb = rssKb(pid) / 1024;
  const request = httpRequest(port, requestBody(false));
  let done = 0;
  while (done < REQUESTS_BEFORE_REST) {
    const result = await closedLoop({ port, request, connections: 8, durationMs: 50 });
    refuseErrors(name, result.errors, result.requests);
    done += result.requests;
  }
  await Bun.sleep(REST_MS);
  const usedMb = rssKb(pid) / 1024;
  const launcherMb = subject.launcherPid === null ? null : rssKb(subject.launcherPid) / 1024;
  await subject.stop();
  return { name, freshMb, usedMb, launcherMb };
}
