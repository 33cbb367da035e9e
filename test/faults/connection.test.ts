import { describe, expect, test } from 'bun:test';
import { faultParts, targetFor, targetOfRaw } from '../support/fault-parts.ts';
import { targetOf } from '../support/fleet.ts';
import { hasFullBacklog, listenWithFullBacklog } from '../support/full-backlog.ts';
import { until } from '../support/gateway.ts';
import { completion, httpReply, type RawExchange } from '../support/raw-server.ts';
import { inference, servedBy } from '../support/running.ts';

const parts = faultParts();

const ask = (canary = 'X', stream = false) => ({
  model: 'sim-model',
  stream,
  messages: [{ role: 'user', content: `canary:${canary}` }],
});

/** A cloud server that may hide what the local one does wrong. */
async function steady() {
  const server = await parts.simulator({ kind: 'openai-compatible' });
  return { server, target: targetFor(server, { id: 'steady', place: 'cloud' }) };
}

describe('F-01 a closed port', () => {
  test('of one node in three costs no client anything, and that node one attempt', async () => {
    const nodes = await Promise.all(
      ['a', 'b', 'c'].map((name) => parts.simulator({ kind: 'vllm', name, firstTokenMs: 1 })),
    );
    const targets = nodes.map((node) => targetFor(node, { id: node.name }));
    const { chat, gateway, outcomes } = await parts.gateway(targets);
    await nodes[0]?.setFault({ kind: 'refuse' });
    for (let n = 0; n < 30; n++) {
      const reply = await chat(ask(`N${n}`, n % 2 === 0));
      expect([reply.status, await reply.text()]).toEqual([200, expect.stringContaining(`canary:N${n}`)]);
    }
    const failures = outcomes.flatMap(({ attempts }) => attempts).filter(({ failure }) => failure !== null);
    expect(failures.map(({ targetId, failure }) => [targetId, failure])).toEqual([['a', 'unreachable']]);
    expect(gateway.targets().map(({ health, stats }) => [health, stats.errors])).toEqual([
      ['down', 1],
      ['up', 0],
      ['up', 0],
    ]);
    expect(nodes.map((node) => inference(node).length)[0]).toBe(0);
  });

  test('of the only node is told with status 503 and when to come back', async () => {
    const node = await parts.simulator({ kind: 'vllm' });
    const { chat, outcomes } = await parts.gateway([targetFor(node)], { retryDelayMs: 1 });
    await node.kill();
    const reply = await chat(ask());
    expect([reply.status, reply.headers.get('x-should-retry')]).toEqual([503, 'false']);
    expect((await reply.json()).error).toMatchObject({ type: 'server_error', code: 'target_unreachable' });
    expect(outcomes.map(({ kind }) => kind)).toEqual(['exhausted']);
  });
});

describe('F-02 a host name that does not resolve', () => {
  test('is unreachable, says so, and is hidden by another target', async () => {
    const { server, target } = await steady();
    const lost = { ...targetOf({ id: 'lost', kind: 'vllm' }), baseUrl: 'http://no-such-host.invalid' };
    const { chat, gateway } = await parts.gateway([lost, target]);
    expect(gateway.targets()[0]).toMatchObject({
      health: 'down',
      healthReason: expect.stringContaining('no such host'),
    });
    const reply = await chat(ask());
    expect([reply.status, servedBy(reply), inference(server).length]).toEqual([200, 'steady', 1]);
  });
});

describe('F-04 a server that does not speak HTTP', () => {
  for (const [what, bytes] of [
    ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['zeros', '\0'.repeat(64)],
    ['a status line of another version', 'HTTP/9.9 200 OK\r\ncontent-length: 2\r\n\r\nok'],
    ['a status that is no number', 'HTTP/1.1 abc OK\r\ncontent-length: 2\r\n\r\nok'],
  ] as const) {
    test(`but ${what}: its socket is closed and another server answers`, async () => {
      const raw = await parts.rawServer({ chat: ({ socket }) => void socket.write(bytes) });
      const { server, target } = await steady();
      const { chat, outcomes } = await parts.gateway([targetOfRaw(raw), target]);
      const reply = await chat(ask());
      expect([reply.status, servedBy(reply)]).toEqual([200, 'steady']);
      expect(['malformed', 'failed']).toContain(`${outcomes[0]?.attempts[0]?.failure}`);
      expect([raw.chats.length, inference(server).length]).toEqual([1, 1]);
      await until('its socket is closed', () => raw.chats[0]?.socket.destroyed === true);
    });
  }
});

describe.skipIf(!hasFullBacklog)('F-05 a host that neither accepts nor refuses', () => {
  test('is given up after the connect clock, not after the one for the first byte', async () => {
    const hanging = await listenWithFullBacklog();
    try {
      const { server, target } = await steady();
      const base = targetOf({ id: 'hanging', kind: 'vllm' });
      const lost = {
        ...base,
        baseUrl: hanging.url,
        clocks: { ...base.clocks, connectMs: 200, firstByteMs: 60_000, firstTokenMs: 60_000, warmupMs: 60_000 },
      };
      // Not probed yet: the request is the first to try it.
      const { chat, gateway, outcomes } = await parts.gateway([lost, target], { awaitProbes: false });
      const reply = await chat(ask());
      expect([reply.status, servedBy(reply), inference(server).length]).toEqual([200, 'steady', 1]);
      await until('it is down', () => gateway.targets()[0]?.health === 'down', 5_000);
      expect(gateway.targets()[0]?.healthReason).toContain('200 ms');
      const tried = outcomes.flatMap(({ attempts }) => attempts).filter(({ targetId }) => targetId === 'hanging');
      for (const { failure, durationMs } of tried) expect([failure, durationMs < 5_000]).toEqual(['unreachable', true]);
    } finally {
      await hanging.stop();
    }
  });
});

describe('F-33 an upstream that closes its idle connections', () => {
  test('just as the next request comes costs no client anything, and counts as no attempt', async () => {
    const idleMs = 20;
    const server = await parts.simulator({ kind: 'vllm', keepAliveIdleMs: idleMs, firstTokenMs: 0 });
    const { chat, outcomes, gateway } = await parts.gateway([targetFor(server, { maxConcurrent: 64 })]);
    const lane = async (index: number): Promise<void> => {
      for (let n = 0; n < 30; n++) {
        const reply = await chat(ask(`L${index}N${n}`));
        expect([reply.status, reply.headers.get('x-swarmrouter-attempts')]).toEqual([200, '1']);
        expect(await reply.text()).toContain(`canary:L${index}N${n}`);
        // The race itself is what is waited for here: the moment at which the server closes.
        await Bun.sleep(idleMs - 2 + ((n + index) % 5));
      }
    };
    await Promise.all(Array.from({ length: 8 }, (_, index) => lane(index)));
    expect(outcomes.map(({ kind, attempts }) => `${kind} ${attempts.length}`)).toEqual(outcomes.map(() => 'served 1'));
    expect([outcomes.length, gateway.targets()[0]?.stats.errors]).toEqual([240, 0]);
  }, 20_000);

  test('and resets the next request without having answered: it is sent once more on a fresh connection, uncounted', async () => {
    const raw = await parts.rawServer({ chat: resetsSecondTurn });
    const { chat } = await parts.gateway([targetOfRaw(raw)]);
    for (let n = 0; n < 3; n++) {
      const reply = await chat(ask());
      expect([reply.status, reply.headers.get('x-swarmrouter-attempts')]).toEqual([200, '1']);
      await reply.text();
    }
    const turns = raw.chats.map(({ turn }) => turn);
    expect(turns.filter((turn) => turn === 1).length).toBeGreaterThanOrEqual(1);
  });

  test('is not confused with a server that reads a request on a fresh connection and resets it: that one is not asked again', async () => {
    const raw = await parts.rawServer({
      chat: ({ socket }) => void socket.resetAndDestroy(),
      listing: ({ socket }) => void socket.end(httpReply(LISTING, { connection: 'close' })),
    });
    const { server, target } = await steady();
    const { chat, outcomes } = await parts.gateway([targetOfRaw(raw), target]);
    const reply = await chat(ask());
    expect([reply.status, servedBy(reply)]).toEqual([200, 'steady']);
    expect([raw.chats.length, inference(server).length]).toEqual([1, 1]);
    expect(outcomes[0]?.attempts.map(({ failure }) => failure)).toEqual(['failed', null]);
  });
});

const LISTING = JSON.stringify({ object: 'list', data: [{ id: 'sim-model', object: 'model' }] });

/** Answers the first request of a connection, the probe's included, and resets the next one. */
function resetsSecondTurn({ socket, turn }: RawExchange): void {
  if (turn > 1) socket.resetAndDestroy();
  else socket.write(httpReply(completion('fine')));
}
