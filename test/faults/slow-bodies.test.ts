import { describe, expect, test } from 'bun:test';
import { faultParts, targetFor } from '../support/fault-parts.ts';
import { until } from '../support/gateway.ts';
import { growthOf } from '../support/memory.ts';
import { chatRequest, type RawConversation, talk } from '../support/raw-client.ts';
import { inference } from '../support/running.ts';

const parts = faultParts();

async function gatewayBefore(change: Parameters<typeof parts.gateway>[1] = {}) {
  const server = await parts.simulator({ kind: 'vllm' });
  return { server, ...(await parts.gateway([targetFor(server)], change)) };
}

const head = (headers: string, path = '/v1/chat/completions'): string =>
  `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${headers}\r\n`;

/** Sends a byte now and then for as long as the connection stands; resolves with what came back. */
async function drip(port: number, start: string, piece = ' ', everyMs = 20): Promise<string> {
  const client = talk(port, start);
  const dripping = setInterval(() => {
    if (!client.isClosed()) client.write(piece);
  }, everyMs);
  await client.closed;
  clearInterval(dripping);
  return client.received();
}

const statusOf = (received: string): string => /HTTP\/1\.1 (\d{3})/.exec(received)?.[1] ?? 'none';
const errorOf = (received: string) => JSON.parse(received.slice(received.indexOf('\r\n\r\n') + 4)).error;

describe('S-15 a body that is dripped', () => {
  for (const [form, headers, piece, came] of [
    [
      'of a stated length',
      'content-length: 5000\r\n',
      ' ',
      /too slowly: not all of it in 0\.\d s\. It has 0\.4 s \(\w+\)\.$/,
    ],
    [
      'of a stated length that is read piece by piece',
      'content-length: 5000000\r\n',
      ' ',
      /: [1-9]\d* bytes? in 0\.\d s/,
    ],
    ['in chunks', 'transfer-encoding: chunked\r\n', '1\r\n \r\n', /: [1-9]\d* bytes? in 0\.\d s/],
  ] as const) {
    test(`${form} is given up with 408 and its connection closed, while others are served`, async () => {
      const { gateway, server, chat, outcomes } = await gatewayBefore({ bodyTimeoutMs: 400 });
      const dripped = drip(gateway.port, head(headers), piece);
      const statuses = new Set<number>();
      for (let n = 0; n < 20; n++) statuses.add((await chat('hi')).status);
      const received = await dripped;
      expect([statusOf(received), errorOf(received).code]).toEqual(['408', 'request_timeout']);
      expect(errorOf(received).message).toContain('SWARMROUTER_BODY_TIMEOUT');
      expect(errorOf(received).message).toMatch(came);
      expect([[...statuses], inference(server).length, outcomes.length]).toEqual([[200], 20, 20]);
    });
  }

  test('to the login of the control plane, which needs no key, is given up too', async () => {
    const { gateway } = await gatewayBefore({ bodyTimeoutMs: 400 });
    const received = await drip(gateway.port, head('content-length: 5000\r\n', '/admin/login'));
    expect([statusOf(received), errorOf(received).code]).toEqual(['408', 'request_timeout']);
  });

  for (const [form, headers, piece] of [
    ['of a stated length', 'content-length: 5000\r\n', ' '],
    ['in chunks', 'transfer-encoding: chunked\r\n', '1\r\n \r\n'],
  ] as const) {
    test(`${form} to a write of the control plane with an Idempotency-Key is given up too, and the key is free`, async () => {
      const { gateway, adminKey } = await gatewayBefore({ bodyTimeoutMs: 400 });
      const credential = { authorization: `Bearer ${adminKey}`, 'idempotency-key': 'dripped' };
      const lines = Object.entries(credential).map(([name, value]) => `${name}: ${value}\r\n`);
      const received = await drip(gateway.port, head(`${lines.join('')}${headers}`, '/admin/keys'), piece);
      expect([statusOf(received), errorOf(received).code]).toEqual(['408', 'request_timeout']);
      const whole = await fetch(`${gateway.url}/admin/keys`, {
        method: 'POST',
        headers: { ...credential, 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'ann' }),
      });
      expect([whole.status, whole.headers.get('idempotent-replayed')]).toEqual([201, null]);
    });
  }

  test('counts against its sender: more of them at once than allowed are refused with 429, and a whole request is not', async () => {
    const { gateway, chat } = await gatewayBefore({ bodyTimeoutMs: 3_000, slowBodyLimit: 10 });
    const all = Array.from({ length: 15 }, () => drip(gateway.port, head('content-length: 5000\r\n')));
    const early = await Promise.race(all);
    expect([statusOf(early), errorOf(early).code]).toEqual(['429', 'too_many_slow_bodies']);
    expect((await chat('hi')).status).toBe(200);
    const statuses = (await Promise.all(all)).map(statusOf).toSorted();
    expect(statuses).toEqual([...Array(10).fill('408'), ...Array(5).fill('429')]);
  });

  test('but comes at a fair pace is waited for, long past the time that an idle one has', async () => {
    const { gateway, server } = await gatewayBefore({ bodyTimeoutMs: 300 });
    const [start = '', body = ''] = chatRequest('SLOW').split('\r\n\r\n');
    const padding = ' '.repeat(400_000);
    const length = body.length + padding.length;
    const client = talk(gateway.port, `${start.replace(/content-length: \d+/, `content-length: ${length}`)}\r\n\r\n`);
    for (let sent = 0; sent < padding.length; sent += 20_000) {
      client.write(padding.slice(sent, sent + 20_000));
      await Bun.sleep(50);
    }
    client.write(body);
    await until('it is answered', () => client.received().includes('canary:SLOW'));
    expect(inference(server).length).toBe(1);
    client.destroy();
  });
});

describe('S-15 headers that are dripped', () => {
  test('are cut off by the server in a few seconds, though a byte comes all the time', async () => {
    const { gateway } = await gatewayBefore();
    const began = 'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-slow: ';
    // Each is closed without an answer: there is no request yet that one could be given to.
    const received = await Promise.all([
      drip(gateway.port, began, 'x', 200),
      drip(gateway.port, began.replace('x-slow: ', ''), 'a: b\r\n', 200),
      drip(gateway.port, 'P', 'O', 200),
    ]);
    expect(received.map(statusOf).filter((status) => status !== 'none' && status !== '400')).toEqual([]);
  }, 25_000);
});

describe('L-30 the body of somebody who may not call', () => {
  const closedSoon = async (client: RawConversation): Promise<number> => {
    let sent = 0;
    const piece = new Uint8Array(64 * 1024);
    const startedAtMs = performance.now();
    while (!client.isClosed() && performance.now() - startedAtMs < 15_000) {
      client.write(piece);
      sent += piece.length;
      await Bun.sleep(5);
    }
    return sent;
  };

  for (const [what, change, headers, status] of [
    ['without a key', { host: '0.0.0.0' }, '', '401'],
    ['with a wrong key', { host: '0.0.0.0' }, 'authorization: Bearer sk-wrong\r\n', '401'],
    ['with two keys', { host: '0.0.0.0' }, 'authorization: Bearer a\r\nx-api-key: b\r\n', '400'],
    ['from a web page', {}, 'origin: https://evil.example\r\n', '403'],
    ['that is no JSON', {}, 'content-type: text/plain\r\n', '415'],
  ] as const) {
    test(`${what} is refused before a byte of it came (${status})`, async () => {
      const { gateway, outcomes } = await gatewayBefore(change);
      const start = head(`${headers}content-length: 30000000\r\n`);
      const client = talk(
        gateway.port,
        status === '415' ? start.replace('content-type: application/json\r\n', '') : start,
      );
      await until('it is refused', () => statusOf(client.received()) === status);
      expect(outcomes).toEqual([]);
      client.destroy();
    });
  }

  for (const path of ['/admin/keys', '/admin/nothing', '/v1/nothing', '/metrics'] as const) {
    test(`at ${path} is refused before a byte of it came`, async () => {
      const { gateway } = await gatewayBefore({ host: '0.0.0.0' });
      const client = talk(gateway.port, head('content-length: 30000000\r\n', path));
      await until('it is refused', () => /HTTP\/1\.1 4\d\d/.test(client.received()));
      client.destroy();
    });
  }

  test('that goes on all the same is dropped unread, and the connection closed in seconds', async () => {
    const { gateway } = await gatewayBefore({ host: '0.0.0.0' });
    const { result: sent, megabytes } = await growthOf(() =>
      closedSoon(talk(gateway.port, head('content-length: 900000000\r\n'))),
    );
    expect(sent).toBeGreaterThan(10_000_000);
    expect(sent).toBeLessThan(900_000_000);
    expect(megabytes).toBeLessThan(100);
  }, 20_000);

  test('of ten megabytes does not cost a client its answer: it learns that its key is wrong', async () => {
    const { gateway } = await gatewayBefore({ host: '0.0.0.0' });
    for (let n = 0; n < 5; n++) {
      const response = await fetch(`http://127.0.0.1:${gateway.port}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: new Uint8Array(10_000_000),
      });
      expect(response.status).toBe(401);
    }
  });
});
