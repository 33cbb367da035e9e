/** A recorded or made-up sequence of requests: what the clients asked for, and what the answers took. */
export interface Trace {
  readonly name: string;
  /** What it is and where it came from, one sentence. */
  readonly says: string;
  /** Made up by the generator, not recorded. */
  readonly generated: boolean;
  /** In order of arrival. */
  readonly requests: readonly TraceRequest[];
}

export interface TraceRequest {
  /** From the beginning of the trace. */
  readonly arrivalMs: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** One id per block of the prompt, the last one perhaps partial: equal leading ids = a shared beginning. */
  readonly blocks: readonly number[];
}

export const BLOCK_TOKENS = 512;

export function blockCount(inputTokens: number): number {
  return Math.ceil(inputTokens / BLOCK_TOKENS);
}

/** The same requests, all arriving `factor` times as fast. */
export function hastened(trace: Trace, factor: number): Trace {
  return {
    ...trace,
    name: `${trace.name} × ${factor}`,
    requests: trace.requests.map((request) => ({ ...request, arrivalMs: request.arrivalMs / factor })),
  };
}

/**
 * Traces whose clock ticks every few seconds bring whole crowds at the same instant, which no real service sees. Here
 * those that share a tick arrive evenly until the next one.
 */
export function spreadOverTicks(trace: Trace): Trace {
  const { requests } = trace;
  const spread: TraceRequest[] = [];
  for (let first = 0; first < requests.length; ) {
    const tickMs = requests[first]?.arrivalMs ?? 0;
    let next = first;
    while (next < requests.length && requests[next]?.arrivalMs === tickMs) next++;
    const untilMs = requests[next]?.arrivalMs ?? tickMs;
    for (let at = first; at < next; at++) {
      const request = requests[at];
      if (request === undefined) continue;
      spread.push({ ...request, arrivalMs: tickMs + ((untilMs - tickMs) * (at - first)) / (next - first) });
    }
    first = next;
  }
  return { ...trace, name: `${trace.name}, spread`, requests: spread };
}

/** The first `minutes` of it. */
export function beginningOf(trace: Trace, minutes: number): Trace {
  return { ...trace, requests: trace.requests.filter((request) => request.arrivalMs < minutes * 60_000) };
}

/** How much of all prompts' whole blocks had been seen before: what a cache without limits would hit. */
export function infiniteCacheHitShare(trace: Trace): number {
  const seen = new Set<number>();
  let hits = 0;
  let all = 0;
  for (const { blocks } of trace.requests) {
    let known = true;
    for (const block of blocks) {
      all++;
      known &&= seen.has(block);
      if (known) hits++;
      seen.add(block);
    }
  }
  return all === 0 ? 0 : hits / all;
}
