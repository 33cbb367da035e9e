import type { OutcomeSink } from '../core/outcome.ts';

const REPORT_EVERY_MS = 60_000;

/**
 * One sink that hands each outcome to all of them, in order. A sink that throws never stops the others or the
 * request: it is reported as a process warning on stderr, once a minute at most, since the log may be what broke.
 */
export function fanOut(...sinks: readonly OutcomeSink[]): OutcomeSink {
  let quietUntilMs = Number.NEGATIVE_INFINITY;
  const report = (error: unknown): void => {
    const nowMs = performance.now();
    if (nowMs < quietUntilMs) return;
    quietUntilMs = nowMs + REPORT_EVERY_MS;
    const reason = error instanceof Error ? error.message : String(error);
    process.emitWarning(`an outcome could not be recorded: ${reason}`, 'OutcomeSinkWarning');
  };
  return {
    record(outcome) {
      for (const sink of sinks) {
        try {
          sink.record(outcome);
        } catch (error) {
          report(error);
        }
      }
    },
  };
}
