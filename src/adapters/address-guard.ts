import { lookup } from 'node:dns/promises';
import ipaddr from 'ipaddr.js';

/** `public`: public internet only · `lan`: also loopback and private networks · `any`: the same as `lan`. */
export type AllowedNetwork = 'any' | 'lan' | 'public';

/** All addresses of a host name; rejects when there are none. */
export type ResolveHost = (host: string) => Promise<readonly string[]>;

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Where clouds hand out credentials by name. */
const METADATA_NAMES = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'metadata.azure.internal',
  'metadata.azure.com',
  'metadata.packet.net',
  'metadata.tencentyun.com',
  'instance-data',
  'instance-data.ec2.internal',
]);
/** Metadata services that stand inside otherwise private or public ranges. */
const METADATA_ADDRESSES = new Set([
  '100.100.100.200',
  '168.63.129.16',
  'fd00:ec2::254',
  'fd20:ce::254',
  '192.0.0.192',
]);

const LAN_RANGES = new Set(['loopback', 'private', 'uniqueLocal', 'carrierGradeNat']);
const RESOLVE_TIMEOUT_MS = 5_000;

/**
 * Refuses addresses that a provider given at run time must not have (faults S-05): resolves when the URL may be
 * called, else rejects with an Error that says what is wrong with it. Every address that the name resolves to
 * must be allowed, so that one good record cannot cover a bad one.
 */
export async function vetAddress(
  url: string,
  options: { readonly network: AllowedNetwork },
  resolve: ResolveHost = resolveHost,
): Promise<void> {
  const { hostname, literal } = parseUrl(url);
  const addresses = literal === null ? await addressesOf(hostname, resolve) : [literal];
  for (const address of addresses) checkAddress(address, hostname, options.network);
}

function parseUrl(url: string): { readonly hostname: string; readonly literal: string | null } {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new Error(`"${url}" is not a URL; it should look like https://api.example.com/v1`);
  }
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') {
    throw new Error(`the URL must begin with http:// or https://, not ${parsed.protocol}//`);
  }
  if (parsed.username !== '' || parsed.password !== '') {
    throw new Error('the URL must not hold a user name or password; give the key as the api_key');
  }
  const hostname = parsed.hostname.replace(/\.$/, '').toLowerCase();
  if (hostname === '') throw new Error('the URL names no host');
  if (METADATA_NAMES.has(hostname)) throw new Error(`${hostname} is a cloud metadata service, which is never called`);
  const bare = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
  const literal = ipaddr.isValid(bare) ? bare : null;
  if (literal !== null && !bare.includes(':')) refuseOddSpelling(url, bare);
  return { hostname, literal };
}

/** 127.1, 0x7f000001, 2130706433 and 0177.0.0.1 all mean 127.0.0.1: people do not write that, attackers do. */
function refuseOddSpelling(url: string, address: string): void {
  const authority =
    url
      .trim()
      .replace(/^[a-z]+:[\\/]*/i, '')
      .split(/[\\/?#]/, 1)[0] ?? '';
  const written = authority.replace(/:\d*$/, '').replace(/\.$/, '');
  if (written !== address) {
    throw new Error(`the address "${written}" is an unusual spelling of ${address}; write it as ${address}`);
  }
}

async function addressesOf(hostname: string, resolve: ResolveHost): Promise<readonly string[]> {
  let addresses: readonly string[];
  try {
    addresses = await withTimeout(resolve(hostname), RESOLVE_TIMEOUT_MS);
  } catch (error) {
    throw new Error(`the host name ${hostname} cannot be resolved`, { cause: error });
  }
  if (addresses.length === 0) throw new Error(`the host name ${hostname} has no address`);
  return addresses;
}

async function resolveHost(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

async function withTimeout<T>(work: Promise<T>, limitMs: number): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs);
  return await Promise.race([work, promise]).finally(() => clearTimeout(timer));
}

function checkAddress(text: string, hostname: string, network: AllowedNetwork): void {
  const shown = text === hostname || `[${text}]` === hostname ? text : `${hostname} (${text})`;
  // A zone index ("fe80::1%eth0") is no part of the address.
  const bare = text.split('%', 1)[0] ?? text;
  if (!ipaddr.isValid(bare)) throw new Error(`${shown} is not an address`);
  const address = innermost(ipaddr.parse(bare));
  if (METADATA_ADDRESSES.has(address.toString())) {
    throw new Error(`${shown} is a cloud metadata service, which is never called`);
  }
  const range = address.range();
  if (range === 'unicast') return;
  if (!LAN_RANGES.has(range)) throw new Error(`${shown} is a ${wordsFor(range)} address, which is never called`);
  if (network === 'public') {
    throw new Error(
      `${shown} is a ${wordsFor(range)} address, but this provider must be on the public internet; ` +
        'give "network": "lan" when a private address is meant',
    );
  }
}

/** IPv6 forms that carry an IPv4 address are judged by that one: mapped, compatible, 6to4, NAT64. */
function innermost(address: Address): Address {
  if (!(address instanceof ipaddr.IPv6)) return address;
  if (address.isIPv4MappedAddress()) return address.toIPv4Address();
  const { parts } = address;
  const range = address.range();
  if (range === '6to4') return fromParts(parts[1], parts[2]);
  if (range === 'rfc6052') return fromParts(parts[6], parts[7]);
  const isCompatible = parts.slice(0, 6).every((part) => part === 0) && parts[6] !== 0;
  return isCompatible ? fromParts(parts[6], parts[7]) : address;
}

function fromParts(high = 0, low = 0): Address {
  return new ipaddr.IPv4([high >> 8, high & 0xff, low >> 8, low & 0xff]);
}

function wordsFor(range: string): string {
  const words: Readonly<Record<string, string>> = {
    unspecified: 'null',
    linkLocal: 'link-local',
    uniqueLocal: 'private',
    carrierGradeNat: 'carrier-grade NAT',
  };
  return words[range] ?? range;
}
