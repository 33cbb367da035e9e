import { describe, expect, test } from 'bun:test';
import { faultParts, targetFor } from '../support/fault-parts.ts';
import { until } from '../support/gateway.ts';
import { chatRequest, type RawConversation, talk } from '../support/raw-client.ts';
import { inference } from '../support/running.ts';

const parts = faultParts();

async function gatewayBefore(change: Parameters<typeof parts.gateway>[1] = {}) {
  const server = await parts.simulator({ kind: 'vllm' });
  const started = await parts.gateway([targetFor(server)], change);
  return { server, ...started };
}

const statusLines = (client: RawConversation): string[] =>
  [...client.received().matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => match[1] ?? '');
const canaries = (client: RawConversation): string[] =>
  [...client.received().matchAll(/canary:\w+/g)].map(([text]) => text);

/** Resolves when nothing more will come: the connection is closed, or as many replies are there. */
const settled = (client: RawConversation, replies: number): Promise<void> =>
  until('it is answered', () => client.isClosed() || statusLines(client).length >= replies);

describe('F-32 several requests on one connection', () => {
  test('one after the other get each its own answer', async () => {
    const { gateway, server } = await gatewayBefore();
    const client = talk(gateway.port);
    for (let n = 1; n <= 10; n++) {
      client.write(chatRequest(`N${n}`));
      await until(`answer ${n}`, () => canaries(client).length === n);
    }
    expect(canaries(client)).toEqual(Array.from({ length: 10 }, (_, n) => `canary:N${n + 1}`));
    expect(inference(server).length).toBe(10);
    client.destroy();
  });

  test('in one segment are answered in order or not at all, never crosswise', async () => {
    // Bun's server closes a connection on which a request comes while another one is being answered.
    for (let round = 0; round < 10; round++) {
      const { gateway } = await gatewayBefore();
      const client = talk(gateway.port, chatRequest('FIRST') + chatRequest('SECOND') + chatRequest('THIRD'));
      await settled(client, 3);
      expect(['canary:FIRST', 'canary:SECOND', 'canary:THIRD'].slice(0, canaries(client).length)).toEqual(
        canaries(client),
      );
      expect(statusLines(client).filter((status) => status !== '200')).toEqual([]);
      client.destroy();
    }
  });

  test('of which the first is answered at once, in one segment: in order', async () => {
    const { gateway } = await gatewayBefore();
    const client = talk(gateway.port, `GET /nowhere HTTP/1.1\r\nhost: localhost\r\n\r\n${chatRequest('SECOND')}`);
    await settled(client, 2);
    await until('both are there', () => canaries(client).length === 1);
    expect(statusLines(client)).toEqual(['404', '200']);
    client.destroy();
  });

  test('a half-closed connection counts as one whose client has left: the work ends and the slot is free', async () => {
    // Bun's server does not tell the two apart.
    const { gateway, outcomes, server } = await gatewayBefore();
    server.setBehaviour({ firstTokenMs: 5_000 });
    const client = talk(gateway.port, chatRequest('HALF'));
    await until('it runs', () => server.active() === 1);
    client.finish();
    await until('the work ends', () => inference(server)[0]?.aborted === true && outcomes.length === 1);
    expect([outcomes[0]?.kind, gateway.targets()[0]?.health]).toEqual(['abandoned', 'up']);
    client.destroy();
  });
});

describe('F-32 a request that is refused before its body is read', () => {
  const smuggled = 'GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(20_000);
  const head = (headers: string): string =>
    `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${headers}`;

  for (const [what, change, headers, status] of [
    ['too large (413)', { maxBodyBytes: 1_048_576 }, 'content-length: 10000000\r\n\r\n', '413'],
    ['without a key (401)', { host: '0.0.0.0' }, 'content-length: 10000000\r\n\r\n', '401'],
    ['of a wrong type (415)', {}, 'content-type: text/plain\r\ncontent-length: 10000000\r\n\r\n', '415'],
  ] as const) {
    test(`${what}: what follows on its connection is never taken for another request`, async () => {
      const { gateway, outcomes, server } = await gatewayBefore(change);
      const text = what.includes('415')
        ? head(headers).replace('content-type: application/json\r\n', '')
        : head(headers);
      const client = talk(gateway.port, text + smuggled);
      await until('it is refused', () => client.isClosed() || statusLines(client).length > 0);
      client.write(smuggled);
      await Promise.race([client.closed, Bun.sleep(300)]);
      expect(statusLines(client)).toEqual([status]);
      expect([outcomes, inference(server)]).toEqual([[], []]);
      client.destroy();
    });
  }

  test('a chunked body that grows too large ends the connection, too', async () => {
    const { gateway } = await gatewayBefore({ maxBodyBytes: 1_048_576 });
    const client = talk(gateway.port, head('transfer-encoding: chunked\r\n\r\n'));
    const piece = `10000\r\n${'x'.repeat(65_536)}\r\n`;
    for (let n = 0; n < 40 && !client.isClosed(); n++) {
      client.write(piece);
      await Bun.sleep(1);
    }
    await client.closed;
    expect(statusLines(client)).toEqual(['413']);
  });
});

describe('S-16, L-24 framing that two servers could read differently', () => {
  const ONE = chatRequest('A');
  for (const [what, bytes, status] of [
    ['two Host headers', chatRequest('A', 'host: evil.example\r\n'), '400'],
    ['two Host headers that agree', chatRequest('A', 'host: localhost\r\n'), '400'],
    ['no Host header', ONE.replace('host: localhost\r\n', ''), '400'],
    ['a Host header with a path', ONE.replace('host: localhost', 'host: localhost/evil'), '403'],
    ['a Host header with a user', ONE.replace('host: localhost', 'host: evil@localhost'), '403'],
    ['a foreign Host header', ONE.replace('host: localhost', 'host: evil.example'), '403'],
    ['a length and chunks', chatRequest('A', 'transfer-encoding: chunked\r\n'), '400'],
    ['two lengths', chatRequest('A', 'content-length: 5\r\n'), '400'],
    ['a length with a sign', ONE.replace('content-length: ', 'content-length: +'), '400'],
    ['chunks under another coding', ONE.replace(/content-length: \d+/, 'transfer-encoding: gzip, chunked'), '400'],
    ['a space before the colon', chatRequest('A', 'x-odd : 1\r\n'), '400'],
    ['a folded header', chatRequest('A', 'x-odd: 1\r\n folded\r\n'), '400'],
    ['a NUL in a header', chatRequest('A', 'x-odd: \0\r\n'), '400'],
    ['the target of a proxy tunnel', chatRequest('A', '', 'evil.example:80'), '400'],
    ['headers of 100 KB', chatRequest('A', `x-long: ${'a'.repeat(100_000)}\r\n`), '431'],
  ] as const) {
    test(`${what}: refused with ${status}, and nothing reaches a server`, async () => {
      const { gateway, server, outcomes } = await gatewayBefore();
      const client = talk(gateway.port, bytes);
      await settled(client, 1);
      expect(statusLines(client)).toEqual([status]);
      expect([inference(server), outcomes]).toEqual([[], []]);
      client.destroy();
    });
  }

  test('an absolute target is judged by its Host header alone, as any other', async () => {
    // Bun shows no difference between the two forms, so it cannot be refused; it must not get around the guard.
    const target = 'http://localhost/v1/chat/completions';
    const { gateway, server } = await gatewayBefore();
    const foreign = talk(gateway.port, chatRequest('A', '', target).replace('host: localhost', 'host: evil.example'));
    await settled(foreign, 1);
    expect([statusLines(foreign), inference(server)]).toEqual([['403'], []]);
    const own = talk(gateway.port, chatRequest('A', '', target));
    await until('it is answered', () => canaries(own).length === 1);
    expect(inference(server).length).toBe(1);
    for (const client of [foreign, own]) client.destroy();
  });
});
