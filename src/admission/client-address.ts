import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Where a request comes from: its connection's other end, or whom that speaks for. */
export type ClientAddressOf = (peer: string, headers: Headers) => string;

/** An address with a port, or in brackets, is not longer. */
const LONGEST_HOP = 64;

/**
 * What `X-Forwarded-For` says counts only as far as trusted proxies wrote it. Each adds at the right whom it got the
 * request from: so the client is the rightmost hop that is none of them, whatever stands left of it. What is no address
 * ends the search: nobody trusted writes such.
 * @param trusted Addresses and networks (`10.0.0.0/8`); none: the header is not looked at.
 */
export function clientAddressBehind(trusted: readonly string[]): ClientAddressOf {
  if (trusted.length === 0) return (peer) => folded(peer);
  const ranges = trusted.map(rangeOf);
  const isTrusted = (address: Address | null): boolean =>
    address !== null &&
    ranges.some(([network, bits]) => address.kind() === network.kind() && address.match(network, bits));
  return (peer, headers) => {
    if (!isTrusted(plainAddress(peer))) return folded(peer);
    return clientOf(headers.get('x-forwarded-for') ?? '', isTrusted) ?? folded(peer);
  };
}

/** The last hop that is good when the list is read from the right, past proxies that are trusted; null: there is none. */
function clientOf(forwardedFor: string, isTrusted: (address: Address) => boolean): string | null {
  let client: Address | null = null;
  for (let end = forwardedFor.length; end >= 0; ) {
    const comma = end === 0 ? -1 : forwardedFor.lastIndexOf(',', end - 1);
    const hop = hopAddress(forwardedFor.slice(comma + 1, end));
    if (hop === null) break;
    client = hop;
    if (!isTrusted(hop)) break;
    end = comma;
  }
  return client?.toString() ?? null;
}

/** As proxies write it: `10.0.0.7`, `10.0.0.7:4711`, `2001:db8::1`, `[2001:db8::1]:4711`. Null: it is something else. */
function hopAddress(text: string): Address | null {
  // The zone of an address means something on one machine only.
  if (text.length > LONGEST_HOP || text.includes('%')) return null;
  const hop = text.trim();
  const inBrackets = /^\[([0-9a-f:.]+)\](?::\d{1,5})?$/i.exec(hop)?.[1];
  return plainAddress(inBrackets ?? hop.replace(/^(\d+(?:\.\d+){3}):\d{1,5}$/, '$1'));
}

/** IPv4 in no other spelling than the usual one; written as IPv6 it becomes IPv4 again. */
function plainAddress(text: string): Address | null {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  return text.includes(':') && ipaddr.IPv6.isValid(text) ? ipaddr.process(text) : null;
}

function rangeOf(text: string): readonly [Address, number] {
  if (text.includes('/')) return ipaddr.parseCIDR(text);
  const address = ipaddr.process(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}

/** A socket for both families says `::ffff:10.0.0.7`. */
function folded(peer: string): string {
  return peer.replace(/^::ffff:(?=\d+\.)/i, '');
}
