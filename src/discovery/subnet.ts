/** The widest network that is scanned: 4,096 addresses. */
const WIDEST_PREFIX = 20;

export const SUBNETS = `an IPv4 network such as 192.168.1.0/24, from /${WIDEST_PREFIX} to /32`;

export type Subnet =
  | { readonly ok: true; readonly addresses: readonly string[] }
  | { readonly ok: false; readonly reason: string };

/**
 * The addresses of a network that machines can have: all of `10.0.0.0/30` but its first (the network's own) and its
 * last (everybody's). Bits behind the prefix do not count: people write the address of their own machine there.
 */
export function readSubnet(written: string): Subnet {
  const [, address = '', length = ''] = /^([^/]+)\/(\d{1,2})$/.exec(written) ?? [];
  if (address.includes(':')) return bad('an IPv6 network has too many addresses to try; name its machines with --host');
  const first = numberOf(address);
  if (first === null) return bad('it is not a network');
  const prefix = Number(length);
  if (prefix > 32) return bad('its prefix is longer than an address');
  if (prefix < WIDEST_PREFIX)
    return bad(`it has ${(2 ** (32 - prefix)).toLocaleString('en')} addresses, too many to try`);
  const size = 2 ** (32 - prefix);
  const start = first - (first % size);
  // Links between two machines and single addresses spare none.
  const spared = size > 2 ? 1 : 0;
  const count = size - 2 * spared;
  return { ok: true, addresses: Array.from({ length: count }, (_, index) => addressOf(start + spared + index)) };
}

const bad = (reason: string): Subnet => ({ ok: false, reason });

/** Null: not four decimal numbers without leading zeros, which some take for octal. */
function numberOf(address: string): number | null {
  const parts = address.split('.');
  const isByte = (part: string): boolean => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255;
  if (parts.length !== 4 || !parts.every(isByte)) return null;
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}

const addressOf = (number: number): string => [24, 16, 8, 0].map((bits) => (number >>> bits) & 255).join('.');
