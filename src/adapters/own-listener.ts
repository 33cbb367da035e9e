import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';

/** Where the gateway takes requests. */
export interface Listening {
  readonly host: string;
  readonly port: number;
}

/**
 * Would a connection to this address and port come back to the gateway? Exact, because another server may well have
 * the same port on another address of this machine. Pure; `ownAddresses` is asked only when the port is the same.
 */
export function reachesListener(
  listening: Listening,
  address: string,
  port: number,
  ownAddresses: () => readonly string[],
): boolean {
  if (port !== listening.port) return false;
  const host = listening.host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  const dialled = plain(address);
  // A connection to the null address goes to loopback.
  const isNull = dialled === '0.0.0.0' || dialled === '::';
  if (host === 'localhost') return isNull || dialled === '127.0.0.1' || dialled === '::1';
  // Of a name that it listens on, it is not known which addresses that is: better one refusal too many.
  const everywhere = !ipaddr.isValid(host) || ['0.0.0.0', '::'].includes(plain(host));
  if (everywhere) return isNull || isLoopback(dialled) || ownAddresses().some((own) => plain(own) === dialled);
  return dialled === plain(host) || (isNull && isLoopback(plain(host)));
}

function plain(address: string): string {
  const bare = address.split('%', 1)[0] ?? address;
  return ipaddr.isValid(bare) ? ipaddr.process(bare).toString() : bare;
}

const isLoopback = (address: string): boolean => address === '::1' || address.startsWith('127.');

export function addressesOfThisMachine(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map(({ address }) => address));
}
