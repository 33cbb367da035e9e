import { IdleConnections } from '../../src/adapters/idle-connections.ts';
import { keep, type MicroResult, timePerRunNs } from './harness.ts';

const ORIGIN = 'http://127.0.0.1:1234';
/** What fetch keeps at most: the longest list there is. */
const POOL_SIZE = 64;

/** What counting costs one call: taking a connection, and giving it back at the reply's end (ADR 0009). */
export function idleConnectionBenchmarks(): MicroResult[] {
  return [1, POOL_SIZE].flatMap((connections) =>
    [null, 'timeout=5, max=1000'].map((keepAlive) => ({
      name: `idle connections, one call, ${connections} idle${keepAlive === null ? '' : ', the server says for how long'}`,
      rounds: timePerRunNs(oneCall(connections, keepAlive)),
    })),
  );
}

function oneCall(connections: number, keepAlive: string | null): () => void {
  const idle = new IdleConnections();
  for (let count = 0; count < connections; count++) idle.give(ORIGIN, 0, keepAlive);
  return () => {
    keep(idle.send(ORIGIN, 1));
    idle.give(ORIGIN, 1, keepAlive);
  };
}
