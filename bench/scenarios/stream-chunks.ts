import { StreamCrowd } from '../load.ts';
import { cpuMs } from '../process.ts';
import { type Figure, judge } from '../result.ts';
import { type Subject, startBare, startGateway } from '../subjects.ts';
import { httpRequest, requestBody, TOKEN_EVENT } from '../wire.ts';
import { type BenchContext, interleaved, measurement, ratio } from './scenario.ts';

const STREAMS = 250;
const INTERVAL_MS = 25;
const ENDLESS = 1_000_000_000;
const EVENT_BYTES = Buffer.byteLength(TOKEN_EVENT);
/** Fewer events delivered than this share of those sent: the subject did not keep up. */
const LEAST_DELIVERED = 0.98;
const MOST_ATTEMPTS = 5;

/** CPU per event of a running stream. */
export async function streamChunks(context: BenchContext): Promise<readonly Figure[]> {
  const { upstream, quick } = context;
  await upstream.pace({ tokens: ENDLESS, intervalMs: INTERVAL_MS });
  const untouched = context.keep(await startBare('untouched', upstream.url));
  const bare = context.keep(await startBare('looked-at', upstream.url));
  const started = context.keep(await startGateway(upstream.url, { assemble: true }));
  const gateway: Subject = { ...started, name: 'gateway' };
  const subjects = [untouched, bare, gateway];
  for (const subject of subjects) {
    context.progress(`warming ${subject.name}`);
    await cpuPerChunk(context, subject, quick ? 500 : 2_000);
  }
  const samples = await interleaved(subjects, quick ? 3 : 5, (subject, round) => {
    context.progress(`round ${round + 1}: ${subject.name}`);
    return cpuPerChunk(context, subject, quick ? 1_500 : 4_000);
  });
  for (const subject of subjects) await subject.stop();
  const of = (subject: Subject): number[] => samples.get(subject.name) ?? [];
  return [
    {
      id: 'stream-chunk-cpu',
      title: 'CPU per streamed chunk',
      unit: 'µs',
      settings: [
        `${STREAMS} streams at once, an event every ${INTERVAL_MS} ms each (${(STREAMS * 1000) / INTERVAL_MS} a second in all), each event one write; only the running streams are measured, not their begin.`,
        'Bare looked-at: each piece decoded, cut into events, parsed as JSON, and handed on. Bare untouched: fetch’s body handed on as it is.',
      ],
      measurements: subjects.map((subject) => measurement(subject.name, of(subject))),
      judgements: [judge('CPU per chunk, gateway ÷ bare looked-at', ratio(of(gateway), of(bare)), '×', 'at most', 1.3)],
      comparisons: [
        { claim: 'CPU per chunk, gateway ÷ bare untouched', value: ratio(of(gateway), of(untouched)), unit: '×' },
      ],
    },
  ];
}

/** A round in which the subject did not keep up (the machine did something else) is taken again, a few times. */
async function cpuPerChunk(context: BenchContext, subject: Subject, durationMs: number): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const sample = await sampleOf(context, subject, durationMs);
    if (sample.delivered >= LEAST_DELIVERED) return sample.cpuMicros;
    const share = `${Math.round(sample.delivered * 100)} % of the events`;
    if (attempt === MOST_ATTEMPTS)
      throw new Error(`${subject.name}: delivered only ${share} in time, ${attempt} times`);
    context.progress(`${subject.name} delivered ${share} in time; again`);
    await Bun.sleep(2_000);
  }
}

interface Sample {
  readonly cpuMicros: number;
  /** Of what the upstream sent in the time measured, the share that the clients received. */
  readonly delivered: number;
}

async function sampleOf(context: BenchContext, subject: Subject, durationMs: number): Promise<Sample> {
  const { upstream } = context;
  if (subject.pid === null) throw new Error(`${subject.name} has no process to measure`);
  const request = httpRequest(subject.port, requestBody(true));
  const crowd = await StreamCrowd.open({
    port: subject.port,
    request,
    count: STREAMS,
    perSecond: 1_000,
    timeoutMs: 10_000,
  });
  // The tail of the opening does not belong to the chunks.
  await Bun.sleep(300);
  const [before, beforeMs, beforeBytes] = [await upstream.stats(), cpuMs(subject.pid), crowd.bytes];
  await Bun.sleep(durationMs);
  const [after, afterMs, afterBytes] = [await upstream.stats(), cpuMs(subject.pid), crowd.bytes];
  const { begun, ended } = crowd;
  crowd.close();
  await upstream.quiet();
  if (begun < STREAMS || ended > 0) {
    throw new Error(`${subject.name}: ${begun} of ${STREAMS} streams began, ${ended} ended early`);
  }
  const chunks = after.tokens - before.tokens;
  const delivered = (afterBytes - beforeBytes) / (chunks * EVENT_BYTES);
  return { cpuMicros: ((afterMs - beforeMs) * 1000) / chunks, delivered };
}
