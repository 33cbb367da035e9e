// What ADR 0009 rests on: fetch beside node:http, when the server closes its idle connections without a word.
//   node bin/run.mjs scripts/measure-keep-alive.ts
import { Agent, request as httpRequest } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { parseRequest } from '../simulators/server/http-request.ts';
import { AttemptWatch } from '../src/adapters/attempt-watch.ts';
import { Transport } from '../src/adapters/transport.ts';
import { Cancellation } from '../src/core/cancellation.ts';
import { Deadlines } from '../src/core/deadlines.ts';
import { systemClock } from '../src/system-clock.ts';
import { targetOf } from '../test/contract/adapters-support.ts';

const POSTS = 1_200;
const IDLE_MS = 100;
const BODY = new TextEncoder().encode(JSON.stringify({ text: 'x'.repeat(300) }));
const REPLY = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 600\r\n\r\n${'y'.repeat(600)}`;

type Post = (url: string) => Promise<void>;

/** Counts the requests that it reads; `idleMs`: closes a connection this long after an answer. */
async function serve(idleMs: number | null, ending: 'fin' | 'rst') {
  const seen = { requests: 0, connections: 0 };
  const server = createServer((socket) => {
    seen.connections++;
    handle(socket);
  });
  const handle = (socket: Socket): void => {
    let pending: Buffer = Buffer.alloc(0);
    let idle: ReturnType<typeof setTimeout> | undefined;
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      pending = Buffer.concat([pending, bytes]);
      const parsed = parseRequest(pending);
      if (parsed.state !== 'complete') return;
      pending = pending.subarray(parsed.consumed);
      seen.requests++;
      clearTimeout(idle);
      socket.write(REPLY);
      if (idleMs !== null)
        idle = setTimeout(() => (ending === 'fin' ? socket.destroy() : socket.resetAndDestroy()), idleMs);
    });
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/chat`,
    seen,
    stop: () => server.close(),
  };
}

const byFetch: Post = async (url) => {
  const response = await fetch(url, { method: 'POST', body: BODY, headers: { 'content-type': 'application/json' } });
  await response.bytes();
};

function byNodeHttp(): Post {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  return (url) => nodePost(url, agent, true);
}

/** Replays once where the agent says that the socket was a used one and nothing had come back. */
async function nodePost(url: string, agent: Agent, mayReplay: boolean): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const headers = { 'content-type': 'application/json', 'content-length': BODY.length };
  const call = httpRequest(url, { method: 'POST', agent, headers }, (response) => {
    response.on('data', () => undefined);
    response.on('end', resolve);
    response.on('error', reject);
  });
  call.on('error', (error) => {
    if (mayReplay && call.reusedSocket) resolve(nodePost(url, agent, false));
    else reject(error);
  });
  call.end(BODY);
  return promise;
}

function byTransport(): Post {
  const transport = new Transport(systemClock);
  const deadlines = new Deadlines(systemClock);
  return async (url) => {
    const watch = new AttemptWatch(systemClock, deadlines, new Cancellation());
    const target = targetOf('openai-compatible', url);
    const headers = { 'content-type': 'application/json' };
    const reply = await transport.open({ target, method: 'POST', url, headers, body: BODY }, watch);
    await reply.body.readAll(1 << 20, 5_000);
    watch.dispose();
  };
}

const CLIENTS: Readonly<Record<string, () => Post>> = {
  fetch: () => byFetch,
  'node:http with its agent': byNodeHttp,
  'our transport': byTransport,
};

/** CPU of this process alone for each post: the server is another one. */
async function cpu(name: string): Promise<void> {
  const server = Bun.spawn({ cmd: [process.execPath, import.meta.path, '--serve'], stdout: 'pipe' });
  const { value } = await server.stdout.getReader().read();
  const url = new TextDecoder().decode(value).trim();
  const post = CLIENTS[name]?.() as Post;
  const round = async (count: number): Promise<number> => {
    const before = process.cpuUsage();
    let left = count;
    const worker = async (): Promise<void> => {
      while (left-- > 0) await post(url);
    };
    await Promise.all(Array.from({ length: 16 }, worker));
    const { user, system } = process.cpuUsage(before);
    return (user + system) / count;
  };
  await round(5_000);
  const rounds: number[] = [];
  for (let n = 0; n < 5; n++) rounds.push(await round(10_000));
  server.kill();
  console.log(`  ${name.padEnd(26)} ${rounds.toSorted((a, b) => a - b)[2]?.toFixed(1)} µs`);
}

/** Posts that meet the closing connection: how many fail, and how many the server read more than once. */
async function race(name: string, ending: 'fin' | 'rst'): Promise<void> {
  const { url, seen, stop } = await serve(IDLE_MS, ending);
  const post = CLIENTS[name]?.() as Post;
  let failed = 0;
  const lane = async (index: number): Promise<void> => {
    for (let n = 0; n < POSTS / 40; n++) {
      await post(url).catch(() => failed++);
      await Bun.sleep(IDLE_MS - 2 + ((n + index) % 5));
    }
  };
  await Promise.all(Array.from({ length: 40 }, (_, index) => lane(index)));
  stop();
  const extra = seen.requests - (POSTS - failed);
  console.log(`  ${name.padEnd(26)} ${ending}: ${failed} failed, ${extra} read twice, ${seen.connections} connections`);
}

const ROUNDS = 50;

/**
 * A server that answered before reads a request on a fresh connection and resets it: how often is it asked again?
 * Its earlier connection is busy, was announced as closed, or was closed without a word.
 */
async function falseReplays(name: string, before: 'busy' | 'announced' | 'silent'): Promise<void> {
  let replays = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const post = CLIENTS[name]?.() as Post;
    let requests = 0;
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', () => {
        requests++;
        if (requests > 1) socket.resetAndDestroy();
        else if (before === 'busy') socket.write(REPLY.slice(0, -1));
        else if (before === 'announced') socket.end(REPLY.replace('\r\n', '\r\nconnection: close\r\n'));
        else socket.end(REPLY);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/chat`;
    const first = post(url).catch(() => undefined);
    if (before !== 'busy') await first;
    await Bun.sleep(20);
    await post(url).catch(() => undefined);
    replays += requests - 2;
    server.close();
  }
  console.log(`  ${name.padEnd(26)} ${before}: ${replays} of ${ROUNDS} asked again`);
}

if (process.argv.includes('--serve')) {
  const { url } = await serve(null, 'fin');
  console.log(url);
} else {
  console.log(`Bun ${Bun.version}. CPU of the client for each post:`);
  for (const name of Object.keys(CLIENTS)) await cpu(name);
  console.log(
    `${POSTS} posts, the server closes idle connections after ${IDLE_MS} ms, the next post comes at 98-102 ms:`,
  );
  for (const name of Object.keys(CLIENTS)) for (const ending of ['fin', 'rst'] as const) await race(name, ending);
  console.log('A request that was read on a fresh connection and reset; the earlier connection to that server is …');
  for (const name of Object.keys(CLIENTS)) {
    for (const before of ['busy', 'announced', 'silent'] as const) await falseReplays(name, before);
  }
  process.exit(0);
}
