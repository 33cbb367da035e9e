import { join } from 'node:path';
import { HttpConnection } from '../http-connection.ts';
import { openFilesLimit, PinnedProcess, TOOLS_CORE } from '../process.ts';
import { type Figure, judge } from '../result.ts';
import { median } from '../statistics.ts';
import { type Subject, startBare, startGateway } from '../subjects.ts';
import { type BenchContext, interleaved, measurement } from './scenario.ts';

const STREAMS = 5_000;
const OPEN_PER_SECOND = 1_000;
const INTERVAL_MS = 500;
const ENDLESS = 1_000_000_000;
const PING_EVERY_MS = 2;

interface Sample {
  readonly stallMs: number;
  readonly upstreamFreeMs: number;
}

/** Thousands of clients vanish at once: how long does the event loop stand still, how soon are the upstreams free? */
export async function disconnects(context: BenchContext): Promise<readonly Figure[]> {
  const { upstream, quick } = context;
  const count = Math.min(STREAMS, Math.floor((openFilesLimit() - 500) / 2));
  const starters = [
    { name: 'bare looked-at', start: () => startBare('looked-at', upstream.url) },
    { name: 'gateway', start: () => startGateway(upstream.url, { assemble: true }) },
  ];
  const samples = await interleaved(starters, quick ? 1 : 3, async ({ name, start }, round) => {
    context.progress(`round ${round + 1}: ${name}, ${count} clients vanish`);
    const subject = context.keep(await start());
    const sample = await sampleOf(context, subject, count);
    await subject.stop();
    return sample;
  });
  return [figureOf(samples, count)];
}

async function sampleOf({ upstream }: BenchContext, subject: Subject, count: number): Promise<Sample> {
  await upstream.pace({ tokens: ENDLESS, intervalMs: INTERVAL_MS });
  const command = [process.execPath, join(import.meta.dir, '..', 'crowd.ts')];
  const crowd = new PinnedProcess([...command, String(subject.port), String(count), String(OPEN_PER_SECOND)], {
    core: TOOLS_CORE,
  });
  const begun = await crowd.printedPort(90_000);
  if (begun < count) throw new Error(`${subject.name}: only ${begun} of ${count} streams began`);
  await Bun.sleep(1_000);
  const pings = new Pinger(await HttpConnection.open(subject.port), subject.port);
  await Bun.sleep(500);
  const before = pings.longestMs;
  // The kernel closes all its sockets at once, and the load generator has no work with it.
  crowd.child.kill('SIGKILL');
  const goneAtMs = performance.now();
  await upstream.quiet(30_000);
  const upstreamFreeMs = performance.now() - goneAtMs;
  await Bun.sleep(500);
  pings.stop();
  return { stallMs: Math.max(0, pings.longestMs - before), upstreamFreeMs };
}

/** Asks for a page that does no work, again and again: the longest wait for it is the longest stall of the loop. */
class Pinger {
  longestMs = 0;
  readonly #connection: HttpConnection;
  readonly #request: Buffer;
  #stopped = false;

  constructor(connection: HttpConnection, port: number) {
    this.#connection = connection;
    this.#request = Buffer.from(`GET /health HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
    this.#ping();
  }

  stop(): void {
    this.#stopped = true;
    this.#connection.close();
  }

  #ping(): void {
    const sentAtMs = performance.now();
    this.#connection.send(this.#request, {
      onEnd: () => {
        this.longestMs = Math.max(this.longestMs, performance.now() - sentAtMs);
        if (!this.#stopped) setTimeout(() => this.#ping(), PING_EVERY_MS);
      },
    });
  }
}

function figureOf(samples: ReadonlyMap<string, readonly Sample[]>, count: number): Figure {
  const of = (name: string, field: keyof Sample): number[] => (samples.get(name) ?? []).map((sample) => sample[field]);
  return {
    id: 'disconnects',
    title: 'Thousands of clients vanish at once',
    unit: 'ms',
    settings: [
      `${count} streams are open, an event every ${INTERVAL_MS} ms each; then the client process is killed. A page that does no work is asked for every ${PING_EVERY_MS} ms: stall is its longest wait, less the longest before. It is an upper bound: client and upstream share a core.`,
    ],
    measurements: ['bare looked-at', 'gateway'].flatMap((name) => [
      measurement(`${name}, stall`, of(name, 'stallMs')),
      measurement(`${name}, until the upstream has no stream any more`, of(name, 'upstreamFreeMs')),
    ]),
    judgements: [
      judge(`stall while ${count} clients vanish, gateway`, median(of('gateway', 'stallMs')), 'ms', 'under', 250),
    ],
    comparisons: [],
  };
}
