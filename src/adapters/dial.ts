import type { VettedAddresses } from './address-guard.ts';
import { goesThroughProxy } from './proxy-rules.ts';

/** How fetch is told where to connect. */
export interface Dial {
  readonly url: string;
  /** The address in place of the name; null: fetch resolves the name by itself. */
  readonly pinned: { readonly address: string; readonly hostHeader: string; readonly serverName: string } | null;
}

/**
 * The ways to call a URL, best first: by the very addresses that were vetted, so that a name which means another
 * address a moment later (DNS rebinding) leads nowhere else. The name goes along as Host and, for the certificate, as
 * server name. Left to fetch: what the operator wrote in the environment or YAML, addresses, and calls through a
 * proxy, which resolves names for itself.
 */
export function dialsFor(url: string, network: 'any' | 'lan' | 'public', vetted: VettedAddresses): readonly Dial[] {
  const { name } = vetted;
  if (network === 'any' || name === null || vetted.addresses.length === 0) return [{ url, pinned: null }];
  const parsed = new URL(url);
  if (goesThroughProxy(parsed)) return [{ url, pinned: null }];
  return vetted.addresses.map((address) => ({
    url: byAddress(parsed, address),
    pinned: { address, hostHeader: parsed.host, serverName: name },
  }));
}

function byAddress(url: URL, address: string): string {
  const pinned = new URL(url);
  pinned.hostname = address.includes(':') ? `[${address}]` : address;
  return pinned.href;
}
