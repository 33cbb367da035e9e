import { afterEach, describe, expect, test } from 'bun:test';
import { createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { failureOf, targetOf } from '../../test/contract/adapters-support.ts';
import { createSelfSigned } from '../../test/support/certificates.ts';
import { Cancellation } from '../core/cancellation.ts';
import { Deadlines } from '../core/deadlines.ts';
import { systemClock } from '../system-clock.ts';
import { AttemptWatch } from './attempt-watch.ts';
import { Transport, type TransportCall } from './transport.ts';

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0)) close();
});

/** A server that answers with the Host that it was asked for. */
async function listen(host = '127.0.0.1', onPort = 0) {
  const seen: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes) => {
      const name = /^host: (.*)\r$/im.exec(String(bytes))?.[1] ?? 'none';
      seen.push(name);
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${name.length}\r\n\r\n${name}`);
    });
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(onPort, host, resolve);
  await promise;
  opened.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: portOf(server.address()), seen };
}

function portOf(address: ReturnType<ReturnType<typeof createServer>['address']>): number {
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}

function callTo(url: string, network: 'any' | 'lan' | 'public'): TransportCall {
  const target = targetOf('openai-compatible', url, { network });
  return { target, method: 'GET', url: `${url}/v1/models`, headers: { authorization: 'Bearer canary' }, body: null };
}

const deadlines = new Deadlines(systemClock);
const watch = (): AttemptWatch => new AttemptWatch(systemClock, deadlines, new Cancellation());

async function textOf(transport: Transport, call: TransportCall): Promise<string> {
  const attempt = watch();
  const reply = await transport.open(call, attempt);
  const bytes = await reply.body.readAll(1_000_000, 5_000);
  attempt.dispose();
  return new TextDecoder().decode(bytes);
}

describe('S-05, L-14 the address that was vetted is the one that is dialled', () => {
  test('the name goes along as Host, and is asked for no second time', async () => {
    const { port } = await listen();
    const asked: string[] = [];
    const resolve = async (name: string) => {
      asked.push(name);
      return ['127.0.0.1'];
    };
    const transport = new Transport(systemClock, { resolve });
    // The machine's own name service does not know this name: only the vetted address leads there.
    const call = callTo(`http://models.example.invalid:${port}`, 'lan');
    expect(await textOf(transport, call)).toBe(`models.example.invalid:${port}`);
    expect(await textOf(transport, call)).toBe(`models.example.invalid:${port}`);
    expect(asked).toEqual(['models.example.invalid']);
  });

  test('a name that means a forbidden address by now is refused when it is asked for anew, and nothing is sent', async () => {
    const { port, seen } = await listen();
    let nowMs = systemClock.nowMs();
    const clock = { ...systemClock, nowMs: () => nowMs };
    const answers = [['127.0.0.1'], ['169.254.169.254']];
    const transport = new Transport(clock, { resolve: async () => answers.shift() ?? [] });
    const call = callTo(`http://flips.example.invalid:${port}`, 'lan');
    await textOf(transport, call);
    nowMs += 30_001;
    const error = await failureOf(transport.open(call, watch()));
    expect([error.kind, error.message]).toEqual(['unreachable', expect.stringContaining('metadata service')]);
    expect(seen).toHaveLength(1);
  });

  test('a public provider whose name leads inside is never dialled', async () => {
    const { port, seen } = await listen();
    const transport = new Transport(systemClock, { resolve: async () => ['93.184.216.34', '127.0.0.1'] });
    const error = await failureOf(transport.open(callTo(`http://inside.example.invalid:${port}`, 'public'), watch()));
    expect(error.message).toContain('"network": "lan"');
    expect(seen).toEqual([]);
  });

  test('where nobody listens at the first address the next one is dialled, and from then on first', async () => {
    const { port, seen } = await listen();
    let nowMs = systemClock.nowMs();
    const clock = { ...systemClock, nowMs: () => nowMs };
    const transport = new Transport(clock, { resolve: async () => ['127.0.0.9', '127.0.0.1'] });
    const call = callTo(`http://two.example.invalid:${port}`, 'lan');
    await textOf(transport, call);
    await listen('127.0.0.9', port);
    await textOf(transport, call);
    // Also when the name was asked for anew.
    nowMs += 30_001;
    await textOf(transport, call);
    expect(seen).toHaveLength(3);
  });

  test('a proxy for other hosts does not get what is exempt by name', async () => {
    const proxy = await listen();
    const direct = await listen();
    const before = { ...process.env };
    Object.assign(process.env, { http_proxy: `http://127.0.0.1:${proxy.port}`, no_proxy: 'example.invalid' });
    try {
      const transport = new Transport(systemClock, { resolve: async () => ['127.0.0.1'] });
      await textOf(transport, callTo(`http://a.example.invalid:${direct.port}`, 'lan'));
      expect([proxy.seen.length, direct.seen.length]).toEqual([0, 1]);
      await textOf(transport, callTo(`http://other.invalid:${direct.port}`, 'lan'));
      expect([proxy.seen, direct.seen.length]).toEqual([[`other.invalid:${direct.port}`], 1]);
    } finally {
      for (const name of ['http_proxy', 'no_proxy']) {
        const value = before[name];
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });

  test('TLS asks for the certificate of the name, not of the address', async () => {
    const names: string[] = [];
    const identity = createSelfSigned('models.example.invalid');
    const server = createTlsServer({
      ...identity,
      SNICallback: (name, done) => {
        names.push(name);
        done(null);
      },
    });
    server.on('tlsClientError', () => undefined);
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(0, '127.0.0.1', resolve);
    await promise;
    opened.push(() => void server.close());
    const url = `https://models.example.invalid:${portOf(server.address())}`;
    const transport = new Transport(systemClock, { resolve: async () => ['127.0.0.1'] });
    const error = await failureOf(transport.open(callTo(url, 'lan'), watch()));
    expect(names).toEqual(['models.example.invalid']);
    expect(error.message).toContain('self-signed');
  });
});

describe('what the environment and YAML give', () => {
  test('is never a metadata service either, and gets no byte', async () => {
    const transport = new Transport(systemClock, { resolve: async () => ['100.100.100.200'] });
    for (const url of ['http://169.254.169.254', 'http://metadata.google.internal', 'http://hidden.example.invalid']) {
      const error = await failureOf(transport.open(callTo(url, 'any'), watch()));
      expect([error.kind, error.message]).toEqual(['unreachable', expect.stringContaining('metadata service')]);
    }
  });

  test('is never the gateway itself', async () => {
    const { port, seen } = await listen();
    const isOwnListener = (address: string, on: number) => address === '127.0.0.1' && on === port;
    const transport = new Transport(systemClock, { isOwnListener });
    const error = await failureOf(transport.open(callTo(`http://127.0.0.1:${port}`, 'any'), watch()));
    expect(error.message).toContain('this gateway itself');
    expect(seen).toEqual([]);
  });
});
