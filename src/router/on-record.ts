import type { Clock } from '../core/clock.ts';
import type { Deadlines, Timed } from '../core/deadlines.ts';
import { UpstreamError } from '../core/failure.ts';

/** A disk that takes nothing for so long is not going to: nobody is held any longer, ms. */
const MOST_RECORD_MS = 30_000;

/** Null: it cannot be lost any more; else what the client is told instead of the end of its answer. */
export function onRecord(
  billed: Promise<void> | null,
  { clock, deadlines }: { readonly clock: Clock; readonly deadlines: Deadlines },
): Promise<UpstreamError | null> | null {
  if (billed === null) return null;
  return new Promise((resolve) => {
    const wait: Timed = {
      deadlineMs: clock.nowMs() + MOST_RECORD_MS,
      expire: () => {
        deadlines.forget(wait);
        resolve(notOnRecord());
      },
    };
    deadlines.watch(wait);
    void billed.then(() => {
      deadlines.forget(wait);
      resolve(null);
    });
  });
}

function notOnRecord(): UpstreamError {
  const seconds = MOST_RECORD_MS / 1000;
  const message = `The answer came, but what it cost could not be put on record within ${seconds} s: the gateway's disk or database takes nothing. It is not to be taken for a whole one.`;
  return new UpstreamError('unbillable', message);
}
