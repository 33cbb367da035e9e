import { afterEach, describe, expect, test } from 'bun:test';
import { createServer, type Socket } from 'node:net';
import { failureOf, targetOf } from '../../test/contract/adapters-support.ts';
import { hasFullBacklog, listenWithFullBacklog } from '../../test/support/full-backlog.ts';
import { Cancellation } from '../core/cancellation.ts';
import { Deadlines } from '../core/deadlines.ts';
import { UpstreamError } from '../core/failure.ts';
import type { TargetClocks } from '../core/target.ts';
import { systemClock } from '../system-clock.ts';
import { AttemptWatch } from './attempt-watch.ts';
import { cancellationOf } from './cancellation-of.ts';
import { Transport, type TransportCall } from './transport.ts';

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0)) close();
});

/** A raw TCP server; `handle` sees each connection. */
async function listen(handle: (socket: Socket) => void, onPort = 0) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    handle(socket);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(onPort, '127.0.0.1', resolve);
  await promise;
  const stop = (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    return new Promise((done) => server.close(() => done()));
  };
  opened.push(() => void stop());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return { url: `http://127.0.0.1:${address.port}`, server, port: address.port, stop };
}

const CLOCKS: TargetClocks = {
  connectMs: 1_000,
  firstByteMs: 5_000,
  firstTokenMs: 5_000,
  idleMs: 5_000,
  warmupMs: 5_000,
  streamMs: 5_000,
  queueMs: null,
};

function callTo(url: string, clocks: Partial<TargetClocks> = {}): TransportCall {
  return {
    target: targetOf('openai-compatible', url, { clocks: { ...CLOCKS, ...clocks } }),
    method: 'POST',
    url: `${url}/v1/chat/completions`,
    headers: { 'content-type': 'application/json', authorization: 'Bearer secret' },
    body: new TextEncoder().encode('{"a":1}'),
  };
}

const deadlines = new Deadlines(systemClock);
const watch = (): AttemptWatch => new AttemptWatch(systemClock, deadlines, new Cancellation());

async function fetchText(transport: Transport, call: TransportCall): Promise<string> {
  const attempt = watch();
  const reply = await transport.open(call, attempt);
  const bytes = await reply.body.readAll(1_000_000, 5_000);
  attempt.dispose();
  return new TextDecoder().decode(bytes);
}

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

describe('the keep-alive race (faults F-33)', () => {
  test('an upstream that silently closes idle connections costs no call', async () => {
    let connections = 0;
    const { url } = await listen((socket) => {
      connections++;
      let idle: ReturnType<typeof setTimeout> | undefined;
      socket.on('data', () => {
        clearTimeout(idle);
        socket.write(OK);
        // A hard close shortly after the answer meets the next request on its way.
        idle = setTimeout(() => socket.resetAndDestroy(), 3);
      });
    });
    const transport = new Transport(systemClock);
    const outcomes: string[] = [];
    for (let round = 0; round < 300; round++) {
      outcomes.push(await fetchText(transport, callTo(url)).catch((error: Error) => error.message));
      await Bun.sleep(round % 3 === 0 ? 3 : 2);
    }
    expect(outcomes.filter((outcome) => outcome !== 'ok')).toEqual([]);
    expect(connections).toBeGreaterThan(10);
  }, 20_000);

  test('is replayed once on a fresh connection, and only once', async () => {
    let requests = 0;
    const { url } = await listen((socket) => {
      socket.on('data', () => {
        requests++;
        if (requests === 1) socket.write(OK);
        else socket.resetAndDestroy();
      });
    });
    const transport = new Transport(systemClock);
    expect(await fetchText(transport, callTo(url))).toBe('ok');
    const error = await failureOf(transport.open(callTo(url), watch()));
    expect(error.kind).toBe('failed');
    expect(requests).toBe(3);
  });

  test('is not assumed on a fresh connection: a request that was read and then reset is not sent again', async () => {
    let requests = 0;
    const { url } = await listen((socket) => {
      socket.on('data', () => {
        requests++;
        // The first one is left unanswered, so that its connection is busy while the second one comes.
        if (requests === 2) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha');
        if (requests === 3) socket.resetAndDestroy();
      });
    });
    const transport = new Transport(systemClock);
    const busy = watch();
    const first = failureOf(transport.open(callTo(url), busy));
    while (requests < 1) await Bun.sleep(1);
    const second = watch();
    const answered = await transport.open(callTo(url), second);
    // Its answer has begun and not ended: this connection is not idle either.
    const third = await failureOf(transport.open(callTo(url), watch()));
    expect([third.kind, requests]).toEqual(['failed', 3]);
    answered.body.close();
    busy.abort(new UpstreamError('cancelled', 'the test is over'));
    expect((await first).kind).toBe('cancelled');
  });

  test('is not assumed once the server was seen to be gone', async () => {
    let requests = 0;
    const serve = (socket: Socket): void => {
      socket.on('data', () => {
        if (++requests === 1) socket.write(OK);
        else socket.resetAndDestroy();
      });
    };
    const { url, port, stop } = await listen(serve);
    const transport = new Transport(systemClock);
    expect(await fetchText(transport, callTo(url))).toBe('ok');
    await stop();
    expect((await failureOf(transport.open(callTo(url), watch()))).kind).toBe('unreachable');
    await listen(serve, port);
    expect((await failureOf(transport.open(callTo(url), watch()))).kind).toBe('failed');
    expect(requests).toBe(2);
  });

  test('is not assumed of a server that never answered before', async () => {
    let requests = 0;
    const { url } = await listen((socket) => {
      socket.on('data', () => {
        requests++;
        socket.resetAndDestroy();
      });
    });
    const error = await failureOf(new Transport(systemClock).open(callTo(url), watch()));
    expect(error.kind).toBe('failed');
    expect(requests).toBe(1);
  });
});

describe('what a connection can do wrong', () => {
  test('a closed port is unreachable at once', async () => {
    const { url, server } = await listen(() => undefined);
    server.close();
    const error = await failureOf(new Transport(systemClock).open(callTo(url), watch()));
    expect(error.kind).toBe('unreachable');
    expect(error.message).toContain('refused');
  });

  test('an unknown host is unreachable', async () => {
    const error = await failureOf(new Transport(systemClock).open(callTo('http://no-such-host.invalid'), watch()));
    expect(error.kind).toBe('unreachable');
  });

  test('plain HTTP on a TLS port is unreachable', async () => {
    const { url } = await listen((socket) => socket.on('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
    const error = await failureOf(new Transport(systemClock).open(callTo(url.replace('http:', 'https:')), watch()));
    expect(error.kind).toBe('unreachable');
  });

  test('bytes that are not HTTP fail', async () => {
    const { url } = await listen((socket) => socket.write('SSH-2.0-OpenSSH_9.6\r\n'));
    const error = await failureOf(new Transport(systemClock).open(callTo(url), watch()));
    expect(['failed', 'malformed']).toContain(error.kind);
  });

  test('a redirect is refused and the credential goes nowhere', async () => {
    let visits = 0;
    const other = await listen((socket) => {
      visits++;
      socket.end(OK);
    });
    const { url } = await listen((socket) =>
      socket.on('data', () => socket.write(`HTTP/1.1 307 x\r\nlocation: ${other.url}/\r\ncontent-length: 0\r\n\r\n`)),
    );
    const error = await failureOf(new Transport(systemClock).open(callTo(url), watch()));
    expect(error).toMatchObject({ kind: 'malformed', status: 307 });
    expect(visits).toBe(0);
  });

  test('a body beyond the limit is refused, also when it is small on the wire', async () => {
    const packed = Bun.gzipSync(new Uint8Array(8 << 20));
    const { url } = await listen((socket) =>
      socket.on('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${packed.length}\r\n\r\n`);
        socket.write(packed);
      }),
    );
    const reply = await new Transport(systemClock).open(callTo(url), watch());
    const error = await failureOf(reply.body.readAll(1 << 20, 5_000));
    expect(error.kind).toBe('malformed');
    expect(error.message).toContain('more than 1048576 bytes');
  });

  test('a compressed body that is none is malformed', async () => {
    const { url } = await listen((socket) =>
      socket.on('data', () =>
        socket.write('HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nzzzz'),
      ),
    );
    const transport = new Transport(systemClock);
    expect((await failureOf(fetchText(transport, callTo(url)))).kind).toBe('malformed');
  });

  test('a body shorter than announced is truncated', async () => {
    const { url } = await listen((socket) =>
      socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nonly this')),
    );
    const error = await failureOf(fetchText(new Transport(systemClock), callTo(url)));
    expect(error.kind).toBe('truncated');
  });
});

async function hangingHost(): Promise<string> {
  const { url, stop } = await listenWithFullBacklog();
  opened.push(() => void stop());
  return url;
}

describe('the connect clock', () => {
  test.skipIf(!hasFullBacklog)('gives up on a host that neither accepts nor refuses', async () => {
    const full = await hangingHost();
    const started = performance.now();
    const error = await failureOf(new Transport(systemClock).open(callTo(full, { connectMs: 200 }), watch()));
    expect(error.kind).toBe('unreachable');
    expect(error.message).toBe('no connection within 200 ms');
    expect(performance.now() - started).toBeLessThan(4_000);
  });

  test.skipIf(!hasFullBacklog)('does not ask whether the host can be reached when a proxy stands between', async () => {
    const unreachable = await hangingHost();
    const { url } = await listen((socket) => socket.on('data', () => setTimeout(() => socket.write(OK), 300)));
    const names = ['http_proxy', 'HTTP_PROXY', 'no_proxy', 'NO_PROXY'];
    const before = names.map((name) => process.env[name]);
    for (const name of names) delete process.env[name];
    process.env['HTTP_PROXY'] = url;
    try {
      expect(await fetchText(new Transport(systemClock), callTo(unreachable, { connectMs: 60 }))).toBe('ok');
    } finally {
      for (const [at, name] of names.entries()) {
        const value = before[at];
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });

  test('leaves a server in peace that accepts and thinks', async () => {
    let connections = 0;
    const { url } = await listen((socket) => {
      connections++;
      socket.on('data', () => setTimeout(() => socket.write(OK), 200));
    });
    const transport = new Transport(systemClock);
    expect(await fetchText(transport, callTo(url, { connectMs: 60 }))).toBe('ok');
    expect(connections).toBe(2);
    expect(await fetchText(transport, callTo(url, { connectMs: 60 }))).toBe('ok');
    expect(connections).toBe(2);
  });
});

describe('leaving', () => {
  test("the caller's classified reason is kept, any other means cancelled", async () => {
    const { url } = await listen(() => undefined);
    for (const [reason, kind] of [
      [new UpstreamError('timeout', 'the request took too long'), 'timeout'],
      [new Error('gone'), 'cancelled'],
    ] as const) {
      const leaver = new AbortController();
      const attempt = new AttemptWatch(systemClock, deadlines, cancellationOf(leaver.signal));
      const work = new Transport(systemClock).open(callTo(url), attempt);
      const failure = failureOf(work);
      leaver.abort(reason);
      expect((await failure).kind).toBe(kind);
    }
  });

  test('a caller that leaves before the turn in which it would be sent sends nothing', async () => {
    let requests = 0;
    const { url } = await listen((socket) => {
      socket.on('data', () => {
        requests++;
        socket.write(OK);
      });
    });
    const transport = new Transport(systemClock);
    const calls = Array.from({ length: 8 }, () => ({ attempt: watch() }));
    const replies = calls.map(({ attempt }) => transport.open(callTo(url), attempt).catch((error: Error) => error));
    const leaving = calls.slice(1, 4);
    for (const { attempt } of leaving) attempt.abort(new UpstreamError('cancelled', 'left'));
    const all = await Promise.all(replies);
    expect(all.map((reply) => reply instanceof UpstreamError)).toEqual(calls.map((call) => leaving.includes(call)));
    expect(requests).toBe(5);
    for (const { attempt } of calls) attempt.dispose();
  });

  test('a caller that has left already sends nothing', async () => {
    let connections = 0;
    const { url } = await listen(() => connections++);
    const attempt = new AttemptWatch(systemClock, deadlines, cancellationOf(AbortSignal.abort()));
    expect((await failureOf(new Transport(systemClock).open(callTo(url), attempt))).kind).toBe('cancelled');
    expect(connections).toBe(0);
  });
});
