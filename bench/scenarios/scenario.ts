import type { Figure, Measurement } from '../result.ts';
import { median } from '../statistics.ts';
import type { Subject, Upstream } from '../subjects.ts';

/** What every scenario is given. */
export interface BenchContext {
  readonly upstream: Upstream;
  /** A short run: fewer and shorter rounds. */
  readonly quick: boolean;
  /** One line for a person who waits. */
  progress(line: string): void;
  /** Has the subject stopped at the end, also after a fault. */
  keep<S extends Subject>(subject: S): S;
}

/** Measures one or more figures. Throws when it could not: a missed target is no reason to. */
export type Scenario = (context: BenchContext) => Promise<readonly Figure[]>;

export function measurement(subject: string, rounds: readonly number[]): Measurement {
  return { subject, rounds, median: median(rounds) };
}

/** Each subject once a round, A B A B: what else the machine does then falls on all of them alike. */
export async function interleaved<S extends { readonly name: string }, Sample>(
  subjects: readonly S[],
  rounds: number,
  measure: (subject: S, round: number) => Promise<Sample>,
): Promise<Map<string, Sample[]>> {
  const samples = new Map<string, Sample[]>(subjects.map((subject) => [subject.name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const subject of subjects) samples.get(subject.name)?.push(await measure(subject, round));
  }
  return samples;
}

/** More than this share of failed requests means that something else than speed was measured. */
const MOST_ERRORS = 0.001;

export function refuseErrors(what: string, errors: number, requests: number): void {
  if (requests === 0 || errors > requests * MOST_ERRORS) {
    throw new Error(`${what}: ${errors} errors beside ${requests} good replies; this cannot be measured`);
  }
}

/** The median of the per-round ratios: a round disturbs both of its subjects alike. */
export function ratio(over: readonly number[], under: readonly number[]): number {
  return median(over.map((value, round) => value / (under[round] ?? Number.NaN)));
}
