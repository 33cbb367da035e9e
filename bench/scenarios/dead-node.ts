import { openLoop } from '../load.ts';
import { type Figure, judge } from '../result.ts';
import { median, percentile, seededRandom } from '../statistics.ts';
import { startGateway, Upstream } from '../subjects.ts';
import { httpRequest, requestBody } from '../wire.ts';
import { type BenchContext, measurement, ratio, refuseErrors } from './scenario.ts';

const PER_SECOND = 150;
const TOKENS = 8;
const INTERVAL_MS = 10;
/** A request that took longer than this met the dead node. */
const SLOW_MS = 500;
/** How long a local server whose model is loaded may take to its first byte. */
const FIRST_BYTE_S = 2;

interface Sample {
  /** Of those that did not meet the dead node. */
  readonly p99Ms: number;
  readonly slow: number;
}

/** One of three nodes accepts connections and answers nothing: who notices? */
export async function deadNode(context: BenchContext): Promise<readonly Figure[]> {
  const nodes = [context.upstream, context.keep(await Upstream.start()), context.keep(await Upstream.start())] as const;
  for (const node of nodes) await node.pace({ tokens: TOKENS, intervalMs: INTERVAL_MS });
  const gateway = context.keep(
    await startGateway(nodes[0].url, {
      assemble: true,
      others: [nodes[1].url, nodes[2].url],
      environment: { SWARMROUTER_MAX_CONCURRENT: '64', LMSTUDIO_TIMEOUT: String(FIRST_BYTE_S) },
    }),
  );
  const durationMs = context.quick ? 4_000 : 12_000;
  await sampleOf(gateway.port, 99, 2_000);
  const [healthy, dead]: [Sample[], Sample[]] = [[], []];
  for (let round = 0; round < (context.quick ? 1 : 4); round++) {
    context.progress(`round ${round + 1}: three nodes answer`);
    healthy.push(await sampleOf(gateway.port, round, durationMs));
    context.progress(`round ${round + 1}: one of them does not`);
    nodes[2].freeze(true);
    dead.push(await sampleOf(gateway.port, round, durationMs));
    nodes[2].freeze(false);
    // Until it is in rotation again at full strength.
    await sampleOf(gateway.port, round, 6_000);
  }
  return [figureOf(healthy, dead)];
}

async function sampleOf(port: number, round: number, durationMs: number): Promise<Sample> {
  const result = await openLoop({
    port,
    request: httpRequest(port, requestBody(true)),
    perSecond: PER_SECOND,
    durationMs,
    random: seededRandom(round + 1),
  });
  refuseErrors('dead node', result.errors, result.firstTokenMs.length);
  const rest = result.firstTokenMs.filter((ms) => ms < SLOW_MS);
  return { p99Ms: percentile(rest, 0.99), slow: result.firstTokenMs.length - rest.length };
}

function figureOf(healthy: readonly Sample[], dead: readonly Sample[]): Figure {
  const p99 = (samples: readonly Sample[]): number[] => samples.map((sample) => sample.p99Ms);
  const slow = dead.map((sample) => sample.slow);
  return {
    id: 'dead-node',
    title: 'One of three nodes goes silent under load',
    unit: 'ms',
    settings: [
      `${PER_SECOND} streamed requests a second at random moments over three nodes; then one of them is stopped (SIGSTOP: it still accepts connections and answers nothing). First token, p99.`,
      `A request is slow when its first token takes more than ${SLOW_MS} ms; the first-byte clock is set to ${FIRST_BYTE_S} s. All were answered.`,
    ],
    measurements: [
      measurement('three nodes answer', p99(healthy)),
      measurement('one is silent, the requests that did not meet it', p99(dead)),
    ],
    judgements: [
      judge('slow requests in a round with a silent node, most', Math.max(...slow), '', 'at most', 3),
      judge('p99 of the rest over that of the healthy rounds', ratio(p99(dead), p99(healthy)), '×', 'at most', 1.1),
    ],
    comparisons: [{ claim: 'slow requests in a round with a silent node, median', value: median(slow), unit: '' }],
  };
}
