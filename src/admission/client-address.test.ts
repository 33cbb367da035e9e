import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { clientAddressBehind } from './client-address.ts';

const PROXIES = ['10.0.0.0/8', '127.0.0.1', 'fd00::/8', '::1'];
const clientOf = clientAddressBehind(PROXIES);
const forwarded = (value: string) => new Headers({ 'x-forwarded-for': value });
const asked = (peer: string, value: string) => clientOf(peer, forwarded(value));

const octet = fc.integer({ min: 0, max: 255 });
const group = fc.integer({ min: 0, max: 0xffff }).map((part) => part.toString(16));
const proxyV4 = fc.tuple(octet, octet, octet).map((rest) => `10.${rest.join('.')}`);
const proxyV6 = fc.tuple(group, group).map(([first, second]) => `fd12:${first}::${second}`);
const proxy = fc.oneof(proxyV4, proxyV6, fc.constantFrom('127.0.0.1', '::1'));
const stranger = fc.oneof(
  fc.tuple(octet, octet, octet).map((rest) => `203.${rest.join('.')}`),
  // No group of it is 0, so it has one spelling.
  fc
    .tuple(...Array.from({ length: 6 }, () => group.filter((part) => part !== '0')))
    .map((rest) => `2001:db8:${rest.join(':')}`),
);
const asWritten = (address: string) => {
  const isV6 = address.includes(':');
  const forms = isV6
    ? [address, address.toUpperCase(), `[${address}]`, `[${address}]:4711`]
    : [address, `${address}:80`, `::ffff:${address}`, `::FFFF:${address}`, `[::ffff:${address}]:1`];
  return fc.tuple(fc.constantFrom(...forms), fc.constantFrom('', ' ', '\t', '  ')).map(([form, blank]) => blank + form);
};
/** Whatever somebody may put into the header before it comes to a proxy. */
const forged = fc.oneof(
  fc
    .array(fc.oneof(proxy, stranger, fc.constantFrom('', 'unknown', '_hidden', '"', '0x7f.1')))
    .map((hops) => hops.join(', ')),
  fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCodePoint(code)) }),
);

describe('the client behind trusted proxies', () => {
  test('is the rightmost hop that is no proxy, however many stand in a row and whatever it wrote itself', () => {
    const chain = fc.array(proxy.chain(asWritten), { maxLength: 4 });
    const client = stranger.chain((address) => fc.tuple(fc.constant(address), asWritten(address)));
    fc.assert(
      fc.property(forged, client, chain, proxy, (before, [address, written], behind, peer) => {
        expect(asked(peer, [before, written, ...behind].join(','))).toBe(address);
      }),
    );
  });

  test('is who is connected where that is no proxy, whatever is in the header', () => {
    fc.assert(fc.property(stranger, forged, (peer, value) => expect(asked(peer, value)).toBe(peer)));
  });

  test('is who is connected for whom no proxy is trusted, whatever is in the header', () => {
    const trustsNobody = clientAddressBehind([]);
    const anybody = fc.oneof(proxy, stranger);
    fc.assert(fc.property(anybody, forged, (peer, value) => expect(trustsNobody(peer, forwarded(value))).toBe(peer)));
  });

  test.each([
    ['no header', '10.0.0.1', '', '10.0.0.1'],
    ['proxies alone', '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['no address at the end', '10.0.0.1', '203.0.113.7, unknown', '10.0.0.1'],
    ['no address behind a proxy', '10.0.0.1', '203.0.113.7, unknown, 10.0.0.2', '10.0.0.2'],
    ['nothing between commas', '10.0.0.1', '203.0.113.7,, 10.0.0.2', '10.0.0.2'],
    ['an odd spelling of an address', '10.0.0.1', '203.0.113.7, 0x0a.1', '10.0.0.1'],
    ['a leading zero', '10.0.0.1', '203.0.113.7, 010.0.0.1', '10.0.0.1'],
    ['a zone', '10.0.0.1', '203.0.113.7, fe80::1%eth0', '10.0.0.1'],
    ['a peer of both families', '::ffff:10.0.0.1', '203.0.113.7', '203.0.113.7'],
    ['a peer of both families that is no proxy', '::ffff:203.0.113.7', '1.2.3.4', '203.0.113.7'],
    ['a hop of both families', '127.0.0.1', '::ffff:203.0.113.7', '203.0.113.7'],
    ['a hop in long form', '::1', '2001:0DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['an address beside the network', '11.0.0.1', '203.0.113.7', '11.0.0.1'],
  ])('with %s: from %p, forwarded for %p, it is %p', (_what, peer, value, client) => {
    expect(asked(peer, value)).toBe(client);
  });

  test('is who is connected where what stands at the end is endless', () => {
    expect(asked('10.0.0.1', `203.0.113.7, ${'1'.repeat(9_999)}`)).toBe('10.0.0.1');
  });
});
