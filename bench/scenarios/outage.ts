import { openLoop } from '../load.ts';
import { type Figure, judge } from '../result.ts';
import { median, percentile, seededRandom } from '../statistics.ts';
import { startGateway, Upstream } from '../subjects.ts';
import { httpRequest, requestBody } from '../wire.ts';
import { type BenchContext, measurement } from './scenario.ts';

const PER_SECOND = 300;

/** Everything is down: how fast are clients told? */
export async function outage(context: BenchContext): Promise<readonly Figure[]> {
  const durationMs = context.quick ? 4_000 : 15_000;
  const rounds: Float64Array[] = [];
  for (let round = 0; round < (context.quick ? 1 : 3); round++) {
    context.progress(`round ${round + 1}: three nodes are switched off`);
    const nodes = [await Upstream.start(), await Upstream.start(), await Upstream.start()].map(context.keep) as [
      Upstream,
      Upstream,
      Upstream,
    ];
    const gateway = context.keep(
      await startGateway(nodes[0].url, { assemble: true, others: [nodes[1].url, nodes[2].url] }),
    );
    await load(gateway.port, round, 1_000);
    await Promise.all(nodes.map((node) => node.stop()));
    const { wholeMs, firstTokenMs } = await load(gateway.port, round, durationMs);
    if (firstTokenMs.length > 0) throw new Error('somebody still answered in a total outage');
    rounds.push(wholeMs);
    await gateway.stop();
  }
  return [figureOf(rounds)];
}

function load(port: number, round: number, durationMs: number) {
  return openLoop({
    port,
    request: httpRequest(port, requestBody(true)),
    perSecond: PER_SECOND,
    durationMs,
    random: seededRandom(round + 1),
  });
}

function figureOf(rounds: readonly Float64Array[]): Figure {
  const of = (share: number): number[] => rounds.map((sorted) => percentile(sorted, share));
  return {
    id: 'outage',
    title: 'Error replies while everything is down',
    unit: 'ms',
    settings: [
      `Three nodes under load are switched off; then ${PER_SECOND} requests a second at random moments, from the first one that meets the outage. From the write of the request to the end of the error reply.`,
    ],
    measurements: [measurement('p50', of(0.5)), measurement('p99', of(0.99)), measurement('longest', of(1))],
    judgements: [judge('error replies in a total outage, p99', median(of(0.99)), 'ms', 'under', 50)],
    comparisons: [],
  };
}
