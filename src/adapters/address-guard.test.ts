import { describe, expect, test } from 'bun:test';
import { vetAddress } from './address-guard.ts';

const NAMES: Readonly<Record<string, readonly string[]>> = {
  'api.example.com': ['93.184.216.34', '2606:2800:220:1:248:1893:25c8:1946'],
  'box.local': ['192.168.1.20'],
  'rebind.example.com': ['93.184.216.34', '127.0.0.1'],
  'hidden.example.com': ['169.254.169.254'],
  'six.example.com': ['::1'],
  'nowhere.example.com': [],
  'mapped.example.com': ['::ffff:169.254.169.254'],
  'nat64.example.com': ['64:ff9b::a9fe:a9fe'],
  'six-to-four.example.com': ['2002:a9fe:a9fe::1'],
  'compatible.example.com': ['::7f00:1'],
  'null.example.com': ['0.0.0.0'],
  'alibaba.example.com': ['100.100.100.200'],
  'zone.example.com': ['fe80::1%eth0'],
  'no-address.example.com': ['example.org'],
  'second-bad.example.com': ['93.184.216.34', '::ffff:169.254.169.254'],
  'tailnet.example.com': ['100.101.102.103'],
  'ula.local': ['fd12:3456:789a::5'],
  localhost: ['127.0.0.1', '::1'],
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
  // Names that lead to what must not be called, in every form that a record may have.
  ['http://mapped.example.com', 'never'],
  ['http://nat64.example.com', 'never'],
  ['http://six-to-four.example.com', 'never'],
  ['http://compatible.example.com', 'lan'],
  ['http://null.example.com', 'never'],
  ['http://alibaba.example.com', 'never'],
  ['http://zone.example.com', 'never'],
  ['http://no-address.example.com', 'never'],
  ['http://second-bad.example.com', 'never'],
  ['http://tailnet.example.com', 'lan'],
  ['http://ula.local:1234', 'lan'],
  ['http://LOCALHOST:1234', 'lan'],
  ['http://localhost.:1234', 'lan'],
  // The metadata services of clouds.
  ['http://169.254.170.2/v2/credentials', 'never'],
  ['http://169.254.170.23/v1/credentials', 'never'],
  ['http://169.254.0.23', 'never'],
  ['http://169.254.42.42', 'never'],
  ['http://192.0.0.192', 'never'],
  ['http://[fd00:ec2::23]', 'never'],
  ['http://[fd00:42::42]', 'never'],
  ['http://[fd00:c1::a9fe:a9fe]', 'never'],
  ['http://[fd20:ce::254]', 'never'],
  ['http://[fd00:0ec2:0000:0000:0000:0000:0000:0254]', 'never'],
  ['http://metadata.goog', 'never'],
  ['http://metadata.azure.com', 'never'],
  ['http://metadata.tencentyun.com', 'never'],
  ['http://instance-data', 'never'],
  ['http://instance-data.ec2.internal.', 'never'],
  ['http://metadata.google.internal。', 'never'],
  ['http://ｍetadata.google.internal', 'never'],
  ['http://metadata%2egoogle%2einternal', 'never'],
  // Spellings of 169.254.169.254 and 127.0.0.1.
  ['http://2852039166', 'never'],
  ['http://0xa9fea9fe', 'never'],
  ['http://0xA9.0xFE.0xA9.0xFE', 'never'],
  ['http://0251.0376.0251.0376', 'never'],
  ['http://169.254.43518', 'never'],
  ['http://169.16689662', 'never'],
  ['http://169.254.169.254.', 'never'],
  ['http://169。254。169。254', 'never'],
  ['http://①⑥⑨.②⑤④.①⑥⑨.②⑤④', 'never'],
  ['http://%31%36%39.254.169.254', 'never'],
  ['http://00000251.00000376.0251.0376', 'never'],
  ['http://017700000001', 'never'],
  ['http://127.0.1', 'never'],
  ['http://127.0.0.1.', 'lan'],
  ['http://127.000.000.001', 'never'],
  ['http://0x7f.0.0.1', 'never'],
  ['http://127。0。0。1', 'never'],
  ['http://[0:0:0:0:0:0:0:1]', 'lan'],
  ['http://[0000::1]', 'lan'],
  ['http://[::ffff:7f00:1]', 'lan'],
  ['http://[::ffff:a9fe:a9fe]', 'never'],
  ['http://[0:0:0:0:0:ffff:a9fe:a9fe]', 'never'],
  ['http://[::127.0.0.1]', 'lan'],
  ['http://[::ffff:0:169.254.169.254]', 'never'],
  ['http://[::ffff:0:8.8.8.8]', 'never'],
  ['http://[64:ff9b:1::a9fe:a9fe]', 'never'],
  ['http://[64:ff9b:1::808:808]', 'never'],
  ['http://[64:ff9b::]', 'never'],
  ['http://[64:ff9b::6440:1]', 'lan'],
  ['http://[2002::]', 'never'],
  ['http://[2002:6440:1::]', 'lan'],
  ['http://[2001:0:a9fe:a9fe::1]', 'never'],
  ['http://[2606:4700::5efe:a9fe:a9fe]', 'never'],
  ['http://[2606:4700::200:5efe:7f00:1]', 'lan'],
  ['http://[100::1]', 'never'],
  ['http://[5f00::1]', 'never'],
  ['http://[fe80::1%25eth0]', 'never'],
  ['http://[febf::1]', 'never'],
  ['http://[ff05::1:3]', 'never'],
  ['http://[::1', 'never'],
  ['http://[127.0.0.1]', 'never'],
  ['http://0.0.0.0.', 'never'],
  ['http://[::0]', 'never'],
  ['http://[0:0:0:0:0:0:0:0]', 'never'],
  ['http://192.88.99.1', 'never'],
  ['http://203.0.113.1', 'never'],
  ['http://192.0.0.8', 'never'],
  // Parsers that disagree, and what hides the host.
  ['http://api.example.com@169.254.169.254/', 'never'],
  ['http://api.example.com%40169.254.169.254/', 'never'],
  ['http://169.254.169.254#@api.example.com/', 'never'],
  ['http://169.254.169.254?@api.example.com/', 'never'],
  ['http://169.254.169.254\\@api.example.com/', 'never'],
  ['http:\\\\169.254.169.254', 'never'],
  ['http:169.254.169.254', 'never'],
  ['http:///169.254.169.254', 'never'],
  ['http://169.254.169.254:80/', 'never'],
  ['http://169.254\t.169.254/', 'never'],
  ['http://169.254.\n169.254/', 'never'],
  [' http://169.254.169.254', 'never'],
  ['http://api.example.com:99999', 'never'],
  ['http://@169.254.169.254', 'never'],
  ['http://:@api.example.com', 'public'],
  ['http://:secret@api.example.com', 'never'],
  ['ws://api.example.com', 'never'],
  ['data:text/plain,hello', 'never'],
  ['unix:///var/run/docker.sock', 'never'],
  ['HTTP://169.254.169.254', 'never'],
  ['//169.254.169.254', 'never'],
  ['http://unknown.example.com', 'never'],
];

describe('S-05 L-14 which addresses a provider given at run time may have', () => {
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
