import { connect } from 'node:net';
import type { Clock } from '../core/clock.ts';
import type { Place } from './places.ts';

/** Does a TCP connection stand within the time? It is closed at once and carries no byte. */
export function isReachable({ host, port }: Place, limitMs: number, clock: Clock): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (stands: boolean): void => {
      cancel();
      socket.destroy();
      resolve(stands);
    };
    const cancel = clock.after(limitMs, () => finish(false));
    socket.once('connect', () => finish(true));
    // Stays on: a socket may fail once more while it closes.
    socket.on('error', () => finish(false));
  });
}
