import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Clock } from '../core/clock.ts';

const RESOLVE_MS = 2_000;
const LOOPBACK = '127.0.0.1';

/** A server that somebody configured, under whatever name. */
export interface KnownServer {
  readonly id: string;
  readonly url: string;
}

/** Tells under which id the server at a host and port is configured; null: it is not. */
export type FindKnown = (server: { readonly host: string; readonly port: number }) => string | null;

/** A machine has a name and addresses: a target that says `studio.local` is the server found at 192.168.1.20. */
export async function knownServers(servers: readonly KnownServer[], clock: Clock): Promise<FindKnown> {
  const ids = new Map<string, string>();
  const resolving = servers.map(async ({ id, url }) => {
    const { hostname, port, protocol } = new URL(url);
    const number = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
    const name = bare(hostname);
    for (const host of [name, ...(await addressesOf(name, clock))]) ids.set(keyOf(host, number), id);
  });
  await Promise.all(resolving);
  return ({ host, port }) => ids.get(keyOf(host, port)) ?? null;
}

/** The addresses of a name; none when nobody knows it, or says so in time. */
export async function addressesOf(host: string, clock: Clock): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  let cancel = (): void => undefined;
  const tooLate = new Promise<readonly string[]>((resolve) => {
    cancel = clock.after(RESOLVE_MS, () => resolve([]));
  });
  const resolved = lookup(host, { all: true }).then(
    (found) => found.map(({ address }) => address),
    () => [],
  );
  return Promise.race([resolved, tooLate]).finally(cancel);
}

const bare = (hostname: string): string => hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase();

const keyOf = (host: string, port: number): string =>
  `${host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host) ? LOOPBACK : host} ${port}`;
