export interface Counts {
  readonly passed: number;
  readonly failed: number;
}

/** What `bun test` counted, from the closing lines of its output (` 12 pass`, ` 0 fail`). */
export function countsIn(output: string): Counts {
  return { passed: numberBefore('pass', output), failed: numberBefore('fail', output) };
}

export function sum(one: Counts, other: Counts): Counts {
  return { passed: one.passed + other.passed, failed: one.failed + other.failed };
}

function numberBefore(word: string, output: string): number {
  const counted = [...output.matchAll(new RegExp(`^\\s*(\\d+) ${word}$`, 'gm'))].at(-1)?.[1];
  return counted === undefined ? 0 : Number(counted);
}
