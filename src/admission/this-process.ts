import { totalmem } from 'node:os';
import type { ProcessSigns } from './overload-guard.ts';

/** @param running Client requests that have not ended. */
export function signsOfThisProcess(running: () => number): ProcessSigns {
  return { memoryBytes: () => process.memoryUsage.rss(), running, collectGarbage: () => Bun.gc(true) };
}

/** Three quarters of the machine's memory, or of the container's limit. */
export function defaultMemoryLimitBytes(): number {
  const constrained = process.constrainedMemory();
  const available = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return (available * 3) / 4;
}
