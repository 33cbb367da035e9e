/** One reading of the gateway's own metrics. */
export interface Reading {
  readonly atMs: number;
  readonly rssMegabytes: number;
  readonly inFlight: number;
  readonly queued: number;
}

/** Rejects when the gateway does not answer, or does not say how much memory it has. */
export async function readMetrics(url: string): Promise<Reading> {
  const reply = await fetch(`${url}/metrics`);
  const text = await reply.text();
  const sum = (name: string): number => {
    let total = 0;
    for (const [, value] of text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))) total += Number(value);
    return total;
  };
  const rssMegabytes = sum('process_resident_memory_bytes') / 1_048_576;
  if (!(rssMegabytes > 0)) throw new Error(`${url}/metrics says nothing of memory (status ${reply.status})`);
  return {
    atMs: performance.now(),
    rssMegabytes,
    inFlight: sum('swarmrouter_target_in_flight'),
    queued: sum('swarmrouter_target_queued'),
  };
}

export interface MemoryTrend {
  readonly readings: number;
  readonly firstMegabytes: number;
  readonly lastMegabytes: number;
  readonly lowestMegabytes: number;
  readonly highestMegabytes: number;
  readonly slopeMegabytesPerMinute: number;
  /** What the line through the readings gained over their time. */
  readonly growthMegabytes: number;
  readonly isFlat: boolean;
}

/** The first third is the process getting to know its work. */
const WARM_UP_SHARE = 1 / 3;
/** A garbage collector's saw-tooth over a short time looks like a slope. Over an hour the same gain is a slow leak. */
const TOLERATED_MEGABYTES = 16;
const TOLERATED_SHARE = 0.1;
/** A line through fewer says nothing. */
const LEAST_READINGS = 5;

/** A line through the readings after the warm-up (least squares). Too few readings are not flat. Pure. */
export function memoryTrend(readings: readonly Reading[]): MemoryTrend {
  const settled = readings.slice(Math.floor(readings.length * WARM_UP_SHARE));
  const minutes = settled.map(({ atMs }) => (atMs - (settled[0]?.atMs ?? 0)) / 60_000);
  const values = settled.map(({ rssMegabytes }) => rssMegabytes);
  const slope = slopeOf(minutes, values);
  const growth = slope * (minutes.at(-1) ?? 0);
  const tolerated = Math.max(TOLERATED_MEGABYTES, mean(values) * TOLERATED_SHARE);
  return {
    readings: settled.length,
    firstMegabytes: values[0] ?? 0,
    lastMegabytes: values.at(-1) ?? 0,
    lowestMegabytes: values.reduce((least, value) => Math.min(least, value), values[0] ?? 0),
    highestMegabytes: values.reduce((most, value) => Math.max(most, value), 0),
    slopeMegabytesPerMinute: slope,
    growthMegabytes: growth,
    isFlat: settled.length >= LEAST_READINGS && growth <= tolerated,
  };
}

function slopeOf(xs: readonly number[], ys: readonly number[]): number {
  const meanX = mean(xs);
  const meanY = mean(ys);
  const spread = xs.reduce((sum, x) => sum + (x - meanX) ** 2, 0);
  const together = xs.reduce((sum, x, index) => sum + (x - meanX) * ((ys[index] ?? meanY) - meanY), 0);
  return spread === 0 ? 0 : together / spread;
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
