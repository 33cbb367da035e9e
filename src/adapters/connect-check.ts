import { connect } from 'node:net';

/** How a plain TCP connection to a server went. `pending` never ends by itself: the caller's clock decides. */
export interface ConnectCheck {
  stop(): void;
}

/**
 * fetch does not tell when its connection stands, so a second, bare connection tells whether one can stand at
 * all. It is closed at once and carries no byte. `settled` runs when the server accepted or refused: a refusal
 * needs no action here because fetch meets the same one.
 */
export function startConnectCheck(url: URL, settled: () => void): ConnectCheck {
  const socket = connect({ host: hostOf(url), port: portOf(url) });
  const finish = (): void => {
    socket.destroy();
    settled();
  };
  socket.once('connect', finish);
  socket.on('error', finish);
  return { stop: () => void socket.destroy() };
}

function hostOf(url: URL): string {
  return url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname;
}

function portOf(url: URL): number {
  if (url.port !== '') return Number(url.port);
  return url.protocol === 'https:' ? 443 : 80;
}
