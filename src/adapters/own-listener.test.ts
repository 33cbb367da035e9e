import { describe, expect, test } from 'bun:test';
import { addressesOfThisMachine, reachesListener } from './own-listener.ts';

const OWN = ['127.0.0.1', '192.168.1.5', 'fd12::5', '::1', 'fe80::5%eth0'];

function reached(host: string, addresses: readonly string[]): readonly string[] {
  return addresses.filter((address) => reachesListener({ host, port: 8000 }, address, 8000, () => OWN));
}

const ALL = [
  '127.0.0.1',
  '127.0.0.2',
  '::1',
  '0.0.0.0',
  '::',
  '192.168.1.5',
  '::ffff:192.168.1.5',
  '192.168.1.6',
  'fd12::5',
];

describe('which addresses lead back to the gateway', () => {
  test('on loopback only its own address there: another server may have the port elsewhere', () => {
    expect(reached('127.0.0.1', ALL)).toEqual(['127.0.0.1', '0.0.0.0', '::']);
    expect(reached('localhost', ALL)).toEqual(['127.0.0.1', '::1', '0.0.0.0', '::']);
    expect(reached('::1', ALL)).toEqual(['::1', '0.0.0.0', '::']);
  });

  test('on one address of the network that one', () => {
    expect(reached('192.168.1.5', ALL)).toEqual(['192.168.1.5', '::ffff:192.168.1.5']);
  });

  test.each(['0.0.0.0', '::', '[::]', 'box.example.com'])('on %s every address of the machine', (host) => {
    expect(reached(host, ALL)).toEqual(ALL.filter((address) => address !== '192.168.1.6'));
  });

  test('never another port', () => {
    expect(reachesListener({ host: '0.0.0.0', port: 8000 }, '127.0.0.1', 8001, () => OWN)).toBe(false);
  });

  test('this machine has at least its loopback address', () => {
    expect(addressesOfThisMachine()).toContain('127.0.0.1');
  });
});
