import ipaddr from 'ipaddr.js';

/** Of these leading bits of an IPv6 address somebody has all that follow: they are one sender. */
const IPV6_NETWORK_PARTS = 4;

/** Whom an address is counted for: an IPv4 address is one sender, of IPv6 each network of 64 bits is. */
export function networkOf(address: string | null): string {
  if (address === null) return 'not known';
  if (!ipaddr.isValid(address)) return address;
  // An IPv4 address that is written as IPv6 becomes one again.
  const parsed = ipaddr.process(address);
  if (!(parsed instanceof ipaddr.IPv6)) return parsed.toString();
  const network = parsed.parts.slice(0, IPV6_NETWORK_PARTS).map((part) => part.toString(16));
  return `${network.join(':')}::/64`;
}
