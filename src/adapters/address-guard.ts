import { lookup } from 'node:dns/promises';
import ipaddr from 'ipaddr.js';

/**
 * `public`: public internet only · `lan`: also loopback and private networks · `any`: the operator's word in the
 * environment or YAML, all but metadata services and the gateway itself.
 */
export type AllowedNetwork = 'any' | 'lan' | 'public';

export interface VetOptions {
  readonly network: AllowedNetwork;
  /** Does the gateway itself listen there? Default: nowhere. */
  readonly isOwnListener?: (address: string, port: number) => boolean;
  /** How long the name service may take. Default: 5 s. */
  readonly resolveWithinMs?: number;
}

/** What a URL may be dialled by. */
export interface VettedAddresses {
  /** Null: the URL holds an address, and there is no name to resolve. */
  readonly name: string | null;
  /** As the name service orders them. Empty only for `any`, when the name cannot be resolved. */
  readonly addresses: readonly string[];
}

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
/** Metadata services and what hands out credentials to containers, in every range. As ipaddr.js writes them. */
const METADATA_ADDRESSES = new Set([
  '169.254.169.254',
  '169.254.170.2',
  '169.254.170.23',
  '169.254.0.23',
  '169.254.42.42',
  '100.100.100.200',
  '168.63.129.16',
  'fd00:ec2::254',
  'fd00:ec2::23',
  'fd00:42::42',
  'fd00:c1::a9fe:a9fe',
  'fd20:ce::254',
  'fe80::a9fe:a9fe',
  '192.0.0.192',
]);

const LAN_RANGES = new Set(['loopback', 'private', 'uniqueLocal', 'carrierGradeNat']);
const RESOLVE_TIMEOUT_MS = 5_000;

/**
 * Refuses addresses that a target must not have (faults S-05): resolves with what may be dialled, else rejects with an
 * Error that says what is wrong. Every address that the name resolves to must be allowed, so that one good record
 * cannot cover a bad one. Whoever dials must dial one of these: the name may mean another address a moment later.
 */
export async function vetAddress(
  url: string,
  options: VetOptions,
  resolve: ResolveHost = resolveHost,
): Promise<VettedAddresses> {
  const { hostname, literal, port } = parseUrl(url, options.network);
  const addresses = literal === null ? await addressesOf(hostname, options, resolve) : [literal];
  for (const address of addresses) checkAddress(address, { hostname, port }, options);
  return { name: literal === null ? hostname : null, addresses };
}

interface Host {
  readonly hostname: string;
  readonly port: number;
}

function parseUrl(url: string, network: AllowedNetwork): Host & { readonly literal: string | null } {
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
  if (literal !== null && !bare.includes(':') && network !== 'any') refuseOddSpelling(url, bare);
  const port = parsed.port === '' ? (parsed.protocol === 'https:' ? 443 : 80) : Number(parsed.port);
  return { hostname, literal, port };
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

async function addressesOf(
  hostname: string,
  { network, resolveWithinMs = RESOLVE_TIMEOUT_MS }: VetOptions,
  resolve: ResolveHost,
): Promise<readonly string[]> {
  let addresses: readonly string[];
  try {
    addresses = await withTimeout(resolve(hostname), resolveWithinMs);
  } catch (error) {
    // The call itself will meet the same and say it better; a proxy may know names that this machine does not.
    if (network === 'any') return [];
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

function checkAddress(
  text: string,
  { hostname, port }: Host,
  { network, isOwnListener = () => false }: VetOptions,
): void {
  const shown = text === hostname || `[${text}]` === hostname ? text : `${hostname} (${text})`;
  // A zone index ("fe80::1%eth0") is no part of the address.
  const bare = text.split('%', 1)[0] ?? text;
  if (!ipaddr.isValid(bare)) throw new Error(`${shown} is not an address`);
  const written = ipaddr.parse(bare);
  const address = innermost(written);
  const meant = [written, address, translated(written)];
  if (meant.some((one) => METADATA_ADDRESSES.has(one.toString()))) {
    throw new Error(`${shown} is a cloud metadata service, which is never called`);
  }
  if (meant.some((one) => isOwnListener(one.toString(), port))) {
    throw new Error(`${shown} port ${port} is this gateway itself: a request sent there would come back without end`);
  }
  if (network === 'any') return;
  checkRange(address, shown, network);
  checkRange(translated(written), shown, network);
}

function checkRange(address: Address, shown: string, network: 'lan' | 'public'): void {
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
  // Not the local prefix: where the IPv4 address stands in it depends on the network.
  if (range === 'rfc6052' && parts[2] === 0) return fromParts(parts[6], parts[7]);
  const isCompatible = parts.slice(0, 6).every((part) => part === 0) && parts[6] !== 0;
  return isCompatible ? fromParts(parts[6], parts[7]) : address;
}

/**
 * Further forms that may end in an IPv4 address: IPv4-translated (RFC 2765), the local NAT64 prefix (RFC 8215) and
 * ISATAP (RFC 5214). What they mean depends on the network, so both readings must be allowed.
 */
function translated(address: Address): Address {
  if (!(address instanceof ipaddr.IPv6)) return address;
  const { parts } = address;
  const isTranslated = address.range() === 'rfc6145';
  const isLocalNat64 = parts[0] === 0x64 && parts[1] === 0xff9b && parts[2] === 1;
  const isIsatap = (parts[4] === 0 || parts[4] === 0x200) && parts[5] === 0x5efe;
  return isTranslated || isLocalNat64 || isIsatap ? fromParts(parts[6], parts[7]) : innermost(address);
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
    rfc6052: 'local NAT64',
    rfc6145: 'IPv4-translated',
  };
  return words[range] ?? range;
}
