import { closedLoop } from '../load.ts';
import { cpuMs } from '../process.ts';
import { type Figure, judge } from '../result.ts';
import { type Subject, startBare, startGateway } from '../subjects.ts';
import { httpRequest, requestBody } from '../wire.ts';
import { type BenchContext, interleaved, measurement, ratio, refuseErrors } from './scenario.ts';

interface Sample {
  /** NaN for the direct call: it has no process between. */
  readonly cpuMicros: number;
  readonly perSecond: number;
}

const CONNECTIONS = 32;
const TOKENS = 16;

/** CPU per whole request, and how many of them a second one core serves. */
export async function wholeRequests(context: BenchContext): Promise<readonly Figure[]> {
  const { upstream, quick } = context;
  await upstream.pace({ tokens: TOKENS, intervalMs: 0 });
  const subjects: Subject[] = [
    upstream,
    context.keep(await startBare('whole', upstream.url)),
    context.keep(await startGateway(upstream.url, { assemble: false })),
    context.keep(await startBare('assembling', upstream.url)),
    context.keep(await startGateway(upstream.url, { assemble: true })),
  ];
  for (const subject of subjects.slice(1)) {
    context.progress(`warming ${subject.name}`);
    await sampleOf(subject, quick ? 800 : 3_000);
  }
  const durationMs = quick ? 1_000 : 3_000;
  const samples = await interleaved(subjects, quick ? 3 : 5, (subject, round) => {
    context.progress(`round ${round + 1}: ${subject.name}`);
    return sampleOf(subject, durationMs);
  });
  for (const subject of subjects.slice(1)) await subject.stop();
  return [cpuFigure(samples), throughputFigure(samples)];
}

async function sampleOf(subject: Subject, durationMs: number): Promise<Sample> {
  const request = httpRequest(subject.port, requestBody(false));
  const beforeMs = subject.pid === null ? Number.NaN : cpuMs(subject.pid);
  const result = await closedLoop({ port: subject.port, request, connections: CONNECTIONS, durationMs });
  const afterMs = subject.pid === null ? Number.NaN : cpuMs(subject.pid);
  refuseErrors(subject.name, result.errors, result.requests);
  return {
    cpuMicros: ((afterMs - beforeMs) * 1000) / result.requests,
    perSecond: (result.requests * 1000) / result.elapsedMs,
  };
}

const SETTINGS = [
  `${CONNECTIONS} connections, each sends its next request when the last was answered; 340-byte request, 614-byte reply.`,
  'Bare whole: Bun.serve and fetch, both bodies parsed and handed on as they came. Gateway whole: SWARMROUTER_ASSEMBLE=false.',
  `Assembling: the upstream is asked for a stream of ${TOKENS} content events and the whole reply is joined from it; the gateway's default for local servers.`,
  'The gateway writes its log line per request (level INFO) to a file; the bare ones write nothing.',
];

function cpuFigure(samples: ReadonlyMap<string, readonly Sample[]>): Figure {
  const cpu = (name: string): number[] => (samples.get(name) ?? []).map((sample) => sample.cpuMicros);
  const names = ['bare whole', 'gateway whole', 'bare assembling', 'gateway assembling'];
  const claim = (name: string, bare: string) =>
    judge(`CPU per request, ${name} ÷ ${bare}`, ratio(cpu(name), cpu(bare)), '×', 'at most', 1.6);
  const compare = (name: string, bare: string) => ({
    claim: `CPU per request, ${name} ÷ ${bare}`,
    value: ratio(cpu(name), cpu(bare)),
    unit: '×',
  });
  return {
    id: 'whole-cpu',
    title: 'CPU per whole request',
    unit: 'µs',
    settings: [...SETTINGS, 'User and system time of the process from /proc, over all requests of a round.'],
    measurements: names.map((name) => measurement(name, cpu(name))),
    judgements: [claim('gateway whole', 'bare whole'), claim('gateway assembling', 'bare assembling')],
    comparisons: [compare('gateway assembling', 'bare whole'), compare('bare assembling', 'bare whole')],
  };
}

function throughputFigure(samples: ReadonlyMap<string, readonly Sample[]>): Figure {
  const speed = (name: string): number[] => (samples.get(name) ?? []).map((sample) => sample.perSecond);
  const claim = (name: string, bare: string) =>
    judge(`throughput, ${name} ÷ ${bare}`, ratio(speed(name), speed(bare)), '×', 'at least', 0.6);
  const compare = (name: string, bare: string) => ({
    claim: `throughput, ${name} ÷ ${bare}`,
    value: ratio(speed(name), speed(bare)),
    unit: '×',
  });
  return {
    id: 'whole-throughput',
    title: 'Whole requests a second on one core',
    unit: 'requests/s',
    settings: SETTINGS,
    measurements: [...samples.keys()].map((name) => measurement(name, speed(name))),
    judgements: [claim('gateway whole', 'bare whole'), claim('gateway assembling', 'bare assembling')],
    comparisons: [compare('gateway assembling', 'bare whole'), compare('bare assembling', 'bare whole')],
  };
}
