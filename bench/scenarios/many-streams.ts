import { StreamCrowd } from '../load.ts';
import { openFilesLimit, rssKb } from '../process.ts';
import { type Figure, judge } from '../result.ts';
import { type Subject, startBare, startGateway } from '../subjects.ts';
import { httpRequest, requestBody } from '../wire.ts';
import { type BenchContext, interleaved, measurement } from './scenario.ts';

const STREAMS = 5_000;
const INTERVAL_MS = 500;
const OPEN_PER_SECOND = 1_000;
const ENDLESS = 1_000_000_000;
/** What fetch would run at once if the launcher set nothing. */
const FETCH_DEFAULT_LIMIT = 256;

interface Sample {
  readonly rssKbPerStream: number;
  readonly peakStreams: number;
}

/** Memory per stream with thousands open, and that no hidden limit stops them. */
export async function manyStreams(context: BenchContext): Promise<readonly Figure[]> {
  const { upstream, quick } = context;
  await upstream.pace({ tokens: ENDLESS, intervalMs: INTERVAL_MS });
  // Two sockets a stream in the subject.
  const count = Math.min(STREAMS, Math.floor((openFilesLimit() - 500) / 2));
  const starters = [
    { name: 'bare looked-at', start: () => startBare('looked-at', upstream.url) },
    { name: 'gateway', start: () => startGateway(upstream.url, { assemble: true }) },
  ];
  const samples = await interleaved(starters, quick ? 1 : 3, async ({ name, start }, round) => {
    context.progress(`round ${round + 1}: ${name}, ${count} streams`);
    const subject = context.keep(await start());
    const sample = await sampleOf(context, subject, count);
    await subject.stop();
    return sample;
  });
  return [figureOf(samples, count)];
}

async function sampleOf(context: BenchContext, subject: Subject, count: number): Promise<Sample> {
  const { upstream, quick } = context;
  const { pid } = subject;
  if (pid === null) throw new Error(`${subject.name} has no process to measure`);
  await upstream.pace({ tokens: ENDLESS, intervalMs: INTERVAL_MS });
  const request = httpRequest(subject.port, requestBody(true));
  // The first streams load code and grow the heap once; that is not theirs to answer for.
  const first = await StreamCrowd.open({ port: subject.port, request, count: 50, perSecond: 500, timeoutMs: 5_000 });
  await Bun.sleep(1_000);
  first.close();
  await upstream.quiet();
  await Bun.sleep(500);
  const beforeKb = rssKb(pid);
  const crowd = await StreamCrowd.open({
    port: subject.port,
    request,
    count,
    perSecond: OPEN_PER_SECOND,
    timeoutMs: 30_000,
  });
  let mostKb = rssKb(pid);
  const holdUntilMs = performance.now() + (quick ? 3_000 : 8_000);
  while (performance.now() < holdUntilMs) {
    await Bun.sleep(200);
    mostKb = Math.max(mostKb, rssKb(pid));
  }
  const { peakStreams } = await upstream.stats();
  const { begun, ended } = crowd;
  crowd.close();
  await upstream.quiet();
  if (begun < count || ended > 0) {
    throw new Error(`${subject.name}: ${begun} of ${count} streams began, ${ended} ended early`);
  }
  return { rssKbPerStream: (mostKb - beforeKb) / count, peakStreams };
}

function figureOf(samples: ReadonlyMap<string, readonly Sample[]>, count: number): Figure {
  const rss = (name: string): number[] => (samples.get(name) ?? []).map((sample) => sample.rssKbPerStream);
  const peaks = (samples.get('gateway') ?? []).map((sample) => sample.peakStreams);
  const gateway = measurement('gateway', rss('gateway'));
  return {
    id: 'many-streams',
    title: 'Memory per stream with thousands open',
    unit: 'KB',
    settings: [
      `${count} streams at once, opened at ${OPEN_PER_SECOND} a second, an event every ${INTERVAL_MS} ms each; a fresh process each round.`,
      'The highest resident memory while all are open, minus that after 50 streams have come and gone, divided by their number.',
    ],
    measurements: [measurement('bare looked-at', rss('bare looked-at')), gateway],
    judgements: [
      judge('RSS per stream, gateway', gateway.median, 'KB', 'at most', 40),
      judge(
        'streams at once through the gateway, counted at the upstream',
        Math.min(...peaks),
        '',
        'at least',
        STREAMS,
      ),
      judge("more at once than fetch's own limit", Math.min(...peaks), 'streams', 'more than', FETCH_DEFAULT_LIMIT),
    ],
    comparisons: [],
  };
}
