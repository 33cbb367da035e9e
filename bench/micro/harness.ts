import { median } from '../statistics.ts';

export interface MicroResult {
  readonly name: string;
  /** Nanoseconds of one run. */
  readonly rounds: readonly number[];
}

/** Keeps what a benchmark computes, so that the compiler cannot leave the work out. */
let kept: unknown;
export function keep(value: unknown): void {
  kept = value;
}
/** Reading it is what makes the writes count. */
export function lastKept(): unknown {
  return kept;
}

const ROUNDS = 7;
const ROUND_MS = 60;

/** Nanoseconds of one `run`, one value a round, after a warm-up of the same length as all rounds. */
export function timePerRunNs(run: () => void): number[] {
  const batch = calibrate(run);
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const startedAtMs = performance.now();
    for (let count = 0; count < batch; count++) run();
    rounds.push(((performance.now() - startedAtMs) * 1e6) / batch);
  }
  return rounds;
}

/** How many runs fill a round. */
function calibrate(run: () => void): number {
  const endAtMs = performance.now() + ROUNDS * ROUND_MS;
  const perRunMs: number[] = [];
  let batch = 16;
  while (performance.now() < endAtMs) {
    const startedAtMs = performance.now();
    for (let count = 0; count < batch; count++) run();
    perRunMs.push((performance.now() - startedAtMs) / batch);
    batch = Math.min(batch * 2, 4_096);
  }
  return Math.max(1, Math.round(ROUND_MS / Math.max(1e-6, median(perRunMs.slice(-5)))));
}
