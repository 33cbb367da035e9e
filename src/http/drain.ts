import type { Clock } from '../core/clock.ts';
import { UpstreamError } from '../core/failure.ts';
import type { HttpServer } from './server.ts';

const DRAIN_POLL_MS = 20;
/** Time for the error events of interrupted streams to leave. */
const LAST_WORDS_MS = 500;

/** Running requests may finish for `graceMs`; what is left then gets an error event and is closed. */
export async function drain(
  server: HttpServer,
  clock: Clock,
  graceMs: number,
  interrupt: (error: UpstreamError) => void,
): Promise<boolean> {
  server.drain();
  const finished = await untilIdle(server, clock, graceMs);
  if (!finished) {
    interrupt(new UpstreamError('failed', 'the gateway is shutting down; ask again'));
    await untilIdle(server, clock, LAST_WORDS_MS);
  }
  await server.close();
  return finished;
}

async function untilIdle(server: HttpServer, clock: Clock, limitMs: number): Promise<boolean> {
  const deadlineMs = clock.nowMs() + limitMs;
  while (server.running() > 0 && clock.nowMs() < deadlineMs) {
    await new Promise<void>((resolve) => clock.after(DRAIN_POLL_MS, resolve));
  }
  return server.running() === 0;
}
