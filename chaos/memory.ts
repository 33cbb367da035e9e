/** One reading of the gateway's own metrics. */
export interface Reading {
  readonly atMs: number;
  readonly rssMegabytes: number;
  readonly inFlight: number;
  readonly queued: number;
}

export async function readMetrics(url: string): Promise<Reading> {
  const reply = await fetch(`${url}/metrics`);
  const text = await reply.text();
  const sum = (name: string): number => {
    let total = 0;
    for (const [, value] of text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))) total += Number(value);
    return total;
  };
  return {
    atMs: performance.now(),
    rssMegabytes: sum('process_resident_memory_bytes') / 1_048_576,
    inFlight: sum('swarmrouter_target_in_flight'),
    queued: sum('swarmrouter_target_queued'),
  };
}

export interface MemoryTrend {
  readonly firstMegabytes: number;
  readonly lastMegabytes: number;
  readonly slopeMegabytesPerMinute: number;
  /** What the line through the readings gained over their time. */
  readonly growthMegabytes: number;
  readonly isFlat: boolean;
}

/** The first third is the process getting to know its work. */
const WARM_UP_SHARE = 1 / 3;
/** A garbage collector's saw-tooth over a short time looks like a slope. */
const TOLERATED_MEGABYTES = 16;
const TOLERATED_SHARE = 0.1;

/** A line through the readings after the warm-up (least squares). Pure. */
export function memoryTrend(readings: readonly Reading[]): MemoryTrend {
  const settled = readings.slice(Math.floor(readings.length * WARM_UP_SHARE));
  const minutes = settled.map(({ atMs }) => (atMs - (settled[0]?.atMs ?? 0)) / 60_000);
  const values = settled.map(({ rssMegabytes }) => rssMegabytes);
  const meanX = mean(minutes);
  const meanY = mean(values);
  const spread = minutes.reduce((sum, x) => sum + (x - meanX) ** 2, 0);
  const together = minutes.reduce((sum, x, index) => sum + (x - meanX) * ((values[index] ?? meanY) - meanY), 0);
  const slope = spread === 0 ? 0 : together / spread;
  const growth = slope * (minutes.at(-1) ?? 0);
  return {
    firstMegabytes: values[0] ?? 0,
    lastMegabytes: values.at(-1) ?? 0,
    slopeMegabytesPerMinute: slope,
    growthMegabytes: growth,
    isFlat: growth <= Math.max(TOLERATED_MEGABYTES, meanY * TOLERATED_SHARE),
  };
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
