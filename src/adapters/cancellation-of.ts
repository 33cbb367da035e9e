import { Cancellation } from '../core/cancellation.ts';
import { UpstreamError } from '../core/failure.ts';

/** A probe's signal as a cancellation; a reason that is not classified means that the asker lost interest. */
export function cancellationOf(signal: AbortSignal): Cancellation {
  const cancellation = new Cancellation();
  const cancel = (): void => {
    const { reason } = signal;
    cancellation.cancel(
      reason instanceof UpstreamError
        ? reason
        : new UpstreamError('cancelled', 'the probe was given up', { cause: reason }),
    );
  };
  if (signal.aborted) cancel();
  else signal.addEventListener('abort', cancel, { once: true });
  return cancellation;
}
