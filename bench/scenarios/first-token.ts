import { openLoop } from '../load.ts';
import { type Figure, judge } from '../result.ts';
import { median, percentile, seededRandom } from '../statistics.ts';
import { type Subject, startBare, startGateway } from '../subjects.ts';
import { httpRequest, requestBody } from '../wire.ts';
import { type BenchContext, interleaved, measurement, refuseErrors } from './scenario.ts';

interface Sample {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const PER_SECOND = 200;
const TOKENS = 5;
const INTERVAL_MS = 5;

/** How much later than from the upstream itself does the first token come? */
export async function firstToken(context: BenchContext): Promise<readonly Figure[]> {
  const { upstream, quick } = context;
  await upstream.pace({ tokens: TOKENS, intervalMs: INTERVAL_MS });
  const bare = context.keep(await startBare('looked-at', upstream.url));
  const gateway = context.keep(await startGateway(upstream.url, { assemble: true }));
  for (const subject of [bare, gateway]) {
    context.progress(`warming ${subject.name}`);
    await sampleOf(subject, 99, quick ? 1_000 : 4_000);
  }
  const subjects = [upstream, bare, { ...gateway, name: 'gateway' }];
  const samples = await interleaved(subjects, quick ? 3 : 7, (subject, round) => {
    context.progress(`round ${round + 1}: ${subject.name}`);
    return sampleOf(subject, round, quick ? 2_000 : 5_000);
  });
  await Promise.all([bare.stop(), gateway.stop()]);
  return [figureOf(samples, bare.name)];
}

async function sampleOf(subject: Subject, round: number, durationMs: number): Promise<Sample> {
  const result = await openLoop({
    port: subject.port,
    request: httpRequest(subject.port, requestBody(true)),
    perSecond: PER_SECOND,
    durationMs,
    // The same arrivals for every subject of a round.
    random: seededRandom(round + 1),
  });
  refuseErrors(subject.name, result.errors, result.firstTokenMs.length);
  return { p50Ms: percentile(result.firstTokenMs, 0.5), p99Ms: percentile(result.firstTokenMs, 0.99) };
}

function figureOf(samples: ReadonlyMap<string, readonly Sample[]>, bareName: string): Figure {
  const of = (name: string, field: keyof Sample): number[] => (samples.get(name) ?? []).map((sample) => sample[field]);
  const added = (name: string, field: keyof Sample): number => {
    const direct = of('direct', field);
    return median(of(name, field).map((value, round) => value - (direct[round] ?? Number.NaN)));
  };
  return {
    id: 'first-token',
    title: 'Time to the first token',
    unit: 'ms',
    settings: [
      `${PER_SECOND} streamed requests a second at random moments, the same for every subject of a round; the upstream answers at once, then an event every ${INTERVAL_MS} ms.`,
      'From the write of the request to the first bytes that hold a token. Added: minus the direct call of the same round; the median over the rounds.',
    ],
    measurements: ['direct', bareName, 'gateway'].flatMap((name) => [
      measurement(`${name}, p50`, of(name, 'p50Ms')),
      measurement(`${name}, p99`, of(name, 'p99Ms')),
    ]),
    judgements: [judge('added first-token time p99, gateway', added('gateway', 'p99Ms'), 'ms', 'under', 2)],
    comparisons: [
      { claim: 'added first-token time p99, bare looked-at', value: added(bareName, 'p99Ms'), unit: 'ms' },
      { claim: 'added first-token time p50, gateway', value: added('gateway', 'p50Ms'), unit: 'ms' },
      { claim: 'added first-token time p50, bare looked-at', value: added(bareName, 'p50Ms'), unit: 'ms' },
    ],
  };
}
