import { describe, expect, test } from 'bun:test';
import { ADDRESS_CORPUS, resolveCorpusName as resolve } from '../../test/support/address-corpus.ts';
import { vetAddress } from './address-guard.ts';

describe('which addresses a provider given at run time may have', () => {
  test.each(ADDRESS_CORPUS.map((row) => [...row]))('%s: %s', async (url, verdict) => {
    const allowed = async (network: 'public' | 'lan') => {
      try {
        await vetAddress(url, { network }, resolve);
        return true;
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
        expect((error as Error).message.length).toBeGreaterThan(10);
        return false;
      }
    };
    expect({ public: await allowed('public'), lan: await allowed('lan') }).toEqual({
      public: verdict === 'public',
      lan: verdict !== 'never',
    });
  });

  test('a refusal of a private address says how to allow it', async () => {
    await expect(vetAddress('http://192.168.1.2', { network: 'public' }, resolve)).rejects.toThrow('"network": "lan"');
  });

  test('the name is resolved for real when nobody says otherwise', async () => {
    await vetAddress('http://localhost:1', { network: 'lan' });
    await expect(vetAddress('http://localhost:1', { network: 'public' })).rejects.toThrow('loopback');
  });
});

describe('which addresses the environment and YAML may give', () => {
  const anyway = (url: string) => vetAddress(url, { network: 'any' }, resolve);

  test.each([
    'http://169.254.169.254/v1',
    'http://2852039166',
    'http://[::ffff:169.254.169.254]',
    'http://[64:ff9b::a9fe:a9fe]',
    'http://[2002:a9fe:a9fe::1]',
    'http://[::ffff:0:169.254.169.254]',
    'http://[fe80::a9fe:a9fe]',
    'http://[fd00:ec2::254]',
    'http://100.100.100.200',
    'http://metadata.google.internal',
    'http://hidden.example.com',
    'http://mapped.example.com',
  ])('never a metadata service: %s', async (url) => {
    await expect(anyway(url)).rejects.toThrow('metadata service');
  });

  test.each([
    'http://127.0.0.1:1234',
    'http://192.168.1.2',
    'http://169.254.10.20:1234',
    'http://[fd12::1]',
    'http://0.0.0.0:11434',
    'http://box.local:1234',
    // The call says that the name is unknown; a proxy may know it.
    'http://unknown.example.com',
  ])('but what else the operator wrote: %s', async (url) => {
    await anyway(url);
  });
});

describe('the gateway itself', () => {
  const isOwnListener = (address: string, port: number) => address === '127.0.0.1' && port === 8000;

  test.each(['any', 'lan'] as const)('is never a target, whatever its name (network %s)', async (network) => {
    for (const url of ['http://127.0.0.1:8000/v1', 'http://localhost:8000', 'http://[::ffff:127.0.0.1]:8000']) {
      await expect(vetAddress(url, { network, isOwnListener }, resolve)).rejects.toThrow('this gateway itself');
    }
    await vetAddress('http://127.0.0.1:8001/v1', { network, isOwnListener }, resolve);
  });
});
