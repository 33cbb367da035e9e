import { dlopen } from 'bun:ffi';
import { connect, type Socket } from 'node:net';

export interface FullBacklog {
  readonly url: string;
  stop(): Promise<void>;
}

/** False where the system calls below are not to be had; tests that need them say that they were skipped. */
export const hasFullBacklog = process.platform === 'linux' && openLibc() !== null;

/** The calls that node:net has no way to make: it accepts every connection. Null where there is no such library. */
function openLibc() {
  try {
    return dlopen('libc.so.6', {
      socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
      bind: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
      listen: { args: ['i32', 'i32'], returns: 'i32' },
      getsockname: { args: ['i32', 'ptr', 'ptr'], returns: 'i32' },
      close: { args: ['i32'], returns: 'i32' },
    }).symbols;
  } catch {
    return null;
  }
}

/**
 * A listening socket whose queue of connections is full and which nobody accepts from: Linux then drops further
 * SYNs, so connecting hangs, as it does to a machine that was switched off. Port 0: any free one.
 */
export async function listenWithFullBacklog(wantedPort = 0): Promise<FullBacklog> {
  const libc = openLibc();
  if (libc === null) throw new Error('needs Linux with libc.so.6');
  const [AF_INET, SOCK_STREAM] = [2, 1];
  const file = libc.socket(AF_INET, SOCK_STREAM, 0);
  const address = new Uint8Array(16);
  address.set([AF_INET, 0, wantedPort >> 8, wantedPort & 0xff, 127, 0, 0, 1]);
  if (libc.bind(file, address, address.length) !== 0) throw new Error(`cannot bind port ${wantedPort}`);
  libc.listen(file, 0);
  libc.getsockname(file, address, new Uint32Array([address.length]));
  const port = new DataView(address.buffer).getUint16(2);
  // With a backlog of 0 one connection stands, the next ones hang.
  const fillers = Array.from({ length: 3 }, () => connect({ host: '127.0.0.1', port }));
  for (const socket of fillers) socket.on('error', () => socket.destroy());
  await Promise.race(fillers.map(connected));
  return {
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      for (const socket of fillers) socket.destroy();
      libc.close(file);
    },
  };
}

const connected = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('connect', () => resolve()));
