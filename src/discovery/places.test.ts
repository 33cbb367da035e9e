import { describe, expect, test } from 'bun:test';
import { loadConfig } from '../config/load.ts';
import { type Asked, readField, USUAL_PORTS } from './places.ts';
import { readSubnet } from './subnet.ts';

const addresses = (written: string): readonly string[] => {
  const subnet = readSubnet(written);
  if (!subnet.ok) throw new Error(subnet.reason);
  return subnet.addresses;
};

describe('the addresses of a network', () => {
  test('are all but its own and everybody’s', () => {
    expect(addresses('192.168.1.0/30')).toEqual(['192.168.1.1', '192.168.1.2']);
    expect(addresses('192.168.1.0/24')).toHaveLength(254);
    expect(addresses('10.0.16.0/20')).toHaveLength(4_094);
    expect(addresses('10.0.16.0/20').at(-1)).toBe('10.0.31.254');
    expect(addresses('255.255.255.252/30')).toEqual(['255.255.255.253', '255.255.255.254']);
  });

  test('of a link and of one machine are all there are', () => {
    expect(addresses('10.0.0.4/31')).toEqual(['10.0.0.4', '10.0.0.5']);
    expect(addresses('10.0.0.4/32')).toEqual(['10.0.0.4']);
  });

  test('are those of the network when the address of a machine stands in it', () => {
    expect(addresses('192.168.1.77/24')).toEqual(addresses('192.168.1.0/24'));
  });

  for (const [written, words] of [
    ['10.0.0.0/8', '16,777,216 addresses'],
    ['10.0.0.0/19', '8,192 addresses'],
    ['0.0.0.0/0', 'too many'],
    ['10.0.0.0/33', 'longer than an address'],
    ['10.0.0.0', 'not a network'],
    ['10.0.0/24', 'not a network'],
    ['10.0.0.256/24', 'not a network'],
    ['010.0.0.1/24', 'not a network'],
    ['10.0.0.0/-1', 'not a network'],
    ['10.0.0.0/24/24', 'not a network'],
    ['studio/24', 'not a network'],
    ['fd00::/64', 'IPv6'],
    ['', 'not a network'],
  ] as const) {
    test(`${JSON.stringify(written)} is refused: ${words}`, () => {
      const subnet = readSubnet(written);
      expect(subnet.ok ? '' : subnet.reason).toContain(words);
    });
  }
});

describe('where to look', () => {
  const NOTHING: Asked = { subnets: null, hosts: null, ports: null };
  const placesOf = (change: Partial<Asked>): string[] => {
    const read = readField({ ...NOTHING, ...change });
    if (!read.ok) throw new Error(read.problems.map(({ message }) => message).join());
    return read.field.places.map(({ host, port }) => `${host} ${port}`);
  };

  test('is this machine at the usual ports when nothing is said', () => {
    expect(placesOf({})).toEqual(USUAL_PORTS.map((port) => `127.0.0.1 ${port}`));
  });

  test('the usual ports are those at which a gateway looks for servers by itself', () => {
    const result = loadConfig({ flags: { port: '9000' }, environment: {}, directory: '/', readFile: () => null });
    const targets = result.ok ? result.config.targets : [];
    expect(targets.map(({ baseUrl }) => Number(new URL(baseUrl).port)).sort()).toEqual([...USUAL_PORTS].sort());
  });

  test('is what is named, once each, and then not this machine', () => {
    const places = placesOf({
      hosts: ['Studio.local,[::1]'],
      subnets: ['10.0.0.0/31', '10.0.0.1/32'],
      ports: ['80,81', '80'],
    });
    const hosts = ['studio.local', '::1', '10.0.0.0', '10.0.0.1'];
    expect(places).toEqual(hosts.flatMap((host) => [`${host} 80`, `${host} 81`]));
  });

  test('every mistake is told at once, each with what was seen, what is allowed and what to do', () => {
    const read = readField({
      subnets: ['10.0.0.0/8'],
      hosts: ['http://a', 'a:80', '10.0.0.0/24', '192.168.1', '-a', ''],
      ports: ['0', '65536', 'http', ''],
    });
    const problems = read.ok ? [] : read.problems;
    expect(problems.map(({ name, seen }) => `${name} ${seen}`)).toEqual([
      '--subnet 10.0.0.0/8',
      ...['http://a', 'a:80', '10.0.0.0/24', '192.168.1', '-a', ''].map((host) => `--host ${host}`),
      ...['0', '65536', 'http', ''].map((port) => `--ports ${port}`),
    ]);
    expect(problems.every(({ allowed, fix }) => allowed !== null && fix !== '')).toBe(true);
    expect(problems.map(({ message }) => message)).toContain('it holds a port; --ports takes those');
  });

  test('more places than anybody waits for are refused', () => {
    const ports = Array.from({ length: 17 }, (_, index) => String(index + 1));
    const read = readField({ ...NOTHING, subnets: ['10.0.0.0/20'], ports });
    expect(read.ok ? '' : read.problems[0]?.message).toBe('4094 addresses with 17 ports each are 69598 places to try');
  });
});
