import { describe, expect, test } from 'bun:test';
import { vetAddress } from './address-guard.ts';

const NAMES: Readonly<Record<string, readonly string[]>> = {
  'api.example.com': ['93.184.216.34', '2606:2800:220:1:248:1893:25c8:1946'],
  'box.local': ['192.168.1.20'],
  'rebind.example.com': ['93.184.216.34', '127.0.0.1'],
  'hidden.example.com': ['169.254.169.254'],
  'six.example.com': ['::1'],
  'nowhere.example.com': [],
};

async function resolve(host: string): Promise<readonly string[]> {
  const addresses = NAMES[host];
  if (addresses === undefined) throw new Error('ENOTFOUND');
  return addresses;
}

type Verdict = 'public' | 'lan' | 'never';

const CORPUS: readonly (readonly [string, Verdict])[] = [
  ['https://api.example.com/v1', 'public'],
  ['http://api.example.com:8080/v1', 'public'],
  ['https://93.184.216.34/v1', 'public'],
  ['https://1.1.1.1', 'public'],
  ['https://172.32.0.1', 'public'],
  ['https://[2606:4700:4700::1111]/v1', 'public'],
  ['https://[::ffff:8.8.8.8]/', 'public'],
  ['https://[64:ff9b::808:808]/', 'public'],
  ['https://API.EXAMPLE.COM./v1', 'public'],
  ['http://127.0.0.1:1234', 'lan'],
  ['http://127.8.8.8', 'lan'],
  ['http://[::1]:1234', 'lan'],
  ['http://10.0.0.5/v1', 'lan'],
  ['http://172.16.0.1', 'lan'],
  ['http://172.31.255.254', 'lan'],
  ['http://192.168.1.10:11434', 'lan'],
  ['http://100.64.0.1', 'lan'],
  ['http://100.127.255.254:1234', 'lan'],
  ['http://[fd12:3456:789a::1]', 'lan'],
  ['http://[fc00::1]', 'lan'],
  ['http://box.local:1234', 'lan'],
  ['http://six.example.com', 'lan'],
  ['http://rebind.example.com', 'lan'],
  ['http://[::ffff:127.0.0.1]', 'lan'],
  ['http://[::ffff:10.0.0.1]', 'lan'],
  ['http://[2002:7f00:1::]', 'lan'],
  ['http://[2002:c0a8:101::1]', 'lan'],
  ['http://[64:ff9b::7f00:1]', 'lan'],
  ['http://[64:ff9b::a00:1]', 'lan'],
  ['http://169.254.169.254/latest/meta-data', 'never'],
  ['http://169.254.0.1', 'never'],
  ['http://[fe80::1]', 'never'],
  ['http://[fe80::a9fe:a9fe]', 'never'],
  ['http://[fec0::1]', 'never'],
  ['http://metadata.google.internal', 'never'],
  ['http://METADATA.google.internal.', 'never'],
  ['http://metadata', 'never'],
  ['http://100.100.100.200', 'never'],
  ['http://168.63.129.16', 'never'],
  ['http://[fd00:ec2::254]', 'never'],
  ['http://hidden.example.com', 'never'],
  ['http://0.0.0.0:8000', 'never'],
  ['http://0.1.2.3', 'never'],
  ['http://0', 'never'],
  ['http://[::]', 'never'],
  ['http://224.0.0.1', 'never'],
  ['http://239.255.255.250', 'never'],
  ['http://255.255.255.255', 'never'],
  ['http://240.0.0.1', 'never'],
  ['http://[ff02::1]', 'never'],
  ['http://192.0.2.1', 'never'],
  ['http://198.18.0.1', 'never'],
  ['http://[2001:db8::1]', 'never'],
  ['http://[::ffff:169.254.169.254]', 'never'],
  ['http://[::ffff:0.0.0.0]', 'never'],
  ['http://[2002:a9fe:a9fe::1]', 'never'],
  ['http://[64:ff9b::a9fe:a9fe]', 'never'],
  ['http://[::a9fe:a9fe]', 'never'],
  ['http://2130706433', 'never'],
  ['http://0x7f000001', 'never'],
  ['http://0177.0.0.1', 'never'],
  ['http://127.1', 'never'],
  ['http://0x7f.1', 'never'],
  ['http://3232235777', 'never'],
  ['http://134744072', 'never'],
  ['http://１２７.0.0.1', 'never'],
  ['http://user:pass@api.example.com', 'never'],
  ['http://user@api.example.com', 'never'],
  ['http://93.184.216.34@127.0.0.1', 'never'],
  ['ftp://api.example.com', 'never'],
  ['file:///etc/passwd', 'never'],
  ['gopher://api.example.com', 'never'],
  ['javascript:alert(1)', 'never'],
  ['api.example.com/v1', 'never'],
  ['', 'never'],
  ['http://', 'never'],
  ['http://nowhere.example.com', 'never'],
  ['http://unknown.example.com', 'never'],
];

describe('which addresses a provider given at run time may have', () => {
  test.each(CORPUS.map((row) => [...row]))('%s: %s', async (url, verdict) => {
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
