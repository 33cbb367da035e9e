import type { Clock } from './clock.ts';

/**
 * Does the work, and says so when it takes longer: whoever waits for it should not think that it hangs.
 * @param afterMs > 0
 * @returns what the work does; rejects as it does
 */
export async function sayWhenSlow<Value>(
  clock: Pick<Clock, 'after'>,
  afterMs: number,
  say: () => void,
  work: () => Promise<Value>,
): Promise<Value> {
  const cancel = clock.after(afterMs, say);
  try {
    return await work();
  } finally {
    cancel();
  }
}
