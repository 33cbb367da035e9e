import { afterAll, describe, expect, test } from 'bun:test';
import { hashKey, madeKey } from '../../test/support/client-keys.ts';
import { talk } from '../../test/support/raw-client.ts';
import { Secret } from '../core/secret.ts';
import { systemClock } from '../system-clock.ts';
import { KeyBook } from './key-book.ts';
import { KeyGuard } from './key-guard.ts';

const alice = madeKey('alice');
const bob = madeKey('bob');
const guard = new KeyGuard({
  book: new KeyBook(hashKey, [alice.key, bob.key]),
  clock: systemClock,
  loopback: true,
  operatorKey: new Secret('swr_admin_0123456789'),
});
const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  fetch(request) {
    const admitted = guard.admit(request.headers);
    return admitted.ok
      ? new Response(admitted.caller.keyId)
      : new Response(admitted.refusal.message, { status: admitted.refusal.status });
  },
});
afterAll(() => server.stop(true));

/** Status and body of a request with these header lines. */
async function send(...lines: readonly string[]): Promise<string> {
  const head = ['GET / HTTP/1.1', 'host: localhost', 'connection: close', ...lines].join('\r\n');
  const conversation = talk(server.port ?? 0, `${head}\r\n\r\n`);
  await conversation.closed;
  const [, status = ''] = /^HTTP\/1\.1 (\d+)/.exec(conversation.received()) ?? [];
  return `${status} ${conversation.received().split('\r\n\r\n')[1]}`;
}

describe('L-29 credentials on the wire', () => {
  test('are found whatever the case of their header and of their scheme', async () => {
    expect(await send(`AUTHORIZATION: bearer ${alice.text}`)).toBe('200 alice');
    expect(await send(`Api-Key:${alice.text}`)).toBe('200 alice');
    expect(await send(`X-API-KEY:   ${alice.text}   `)).toBe('200 alice');
  });

  test('in two headers are refused, in whatever order', async () => {
    for (const [first, second] of [
      [`authorization: Bearer ${alice.text}`, `x-api-key: ${alice.text}`],
      [`api-key: ${alice.text}`, `authorization: Bearer ${bob.text}`],
    ]) {
      expect(await send(first ?? '', second ?? '')).toStartWith('400 Two credentials were sent');
    }
  });

  test('twice under one name open nothing: nobody has to guess which counts', async () => {
    for (const name of ['authorization: Bearer', 'x-api-key:', 'api-key:']) {
      const answer = await send(`${name} ${alice.text}`, `${name} ${bob.text}`);
      expect(answer).toMatch(/^40[01] /);
      expect(answer).not.toContain(alice.text);
    }
  });

  test('that are not there are asked for', async () => {
    expect(await send()).toStartWith('401 An API key is needed here.');
    expect(await send('cookie: api-key=x', `x-apikey: ${alice.text}`)).toStartWith('401 An API key is needed here.');
  });
});
