import ipaddr from 'ipaddr.js';
import { type Kind, listOf, type Parsed } from './setting-kinds.ts';

const bad = (reason: string): { readonly ok: false; readonly reason: string } => ({ ok: false, reason });

const ALLOWED = 'an address such as 127.0.0.1 or ::1, or a network such as 10.0.0.0/8 or fd00::/8';

const addressRange: Kind<string> = {
  type: 'address',
  allowed: ALLOWED,
  placeholder: 'address',
  unit: null,
  parse: readAddressRange,
  show: (range) => range,
  showSeen: (text) => text,
};

/** Several, separated by commas; as ipaddr.js writes them, a network of one address as the address. */
export const addressRanges: Kind<readonly string[]> = listOf(
  addressRange,
  'address list',
  `${ALLOWED}; several separated by commas`,
);

function readAddressRange(text: string): Parsed<string> {
  const [written = '', bitsText, ...rest] = text.split('/');
  const isAddress =
    ipaddr.IPv4.isValidFourPartDecimal(written) || (/^[0-9a-f:.]+$/i.test(written) && ipaddr.IPv6.isValid(written));
  if (!isAddress || rest.length > 0) return bad('it is not an IP address or network; names are not resolved here');
  const parsed = ipaddr.parse(written);
  const all = parsed.kind() === 'ipv4' ? 32 : 128;
  const bits = bitsText === undefined ? all : /^\d{1,3}$/.test(bitsText) ? Number(bitsText) : Number.NaN;
  if (!(bits <= all)) return bad(`the number after "/" should be from 1 to ${all}`);
  return rangeText(parsed, bits, all);
}

/** One that is written as IPv6 and means IPv4 becomes that: so addresses are compared, too. */
function rangeText(parsed: ipaddr.IPv4 | ipaddr.IPv6, bits: number, all: number): Parsed<string> {
  if (parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress() && bits >= 96) {
    return rangeText(parsed.toIPv4Address(), bits - 96, 32);
  }
  if (bits === 0) return bad('it means every address: then whoever asks says where they come from');
  const network = networkOf(parsed, bits);
  if (network !== parsed.toString()) {
    return bad(`${parsed.toString()} is one address of that network; write ${network}/${bits}, or the address alone`);
  }
  return { ok: true, value: bits === all ? network : `${network}/${bits}` };
}

function networkOf(address: ipaddr.IPv4 | ipaddr.IPv6, bits: number): string {
  const kind = address instanceof ipaddr.IPv4 ? ipaddr.IPv4 : ipaddr.IPv6;
  return kind.networkAddressFromCIDR(`${address.toString()}/${bits}`).toString();
}
