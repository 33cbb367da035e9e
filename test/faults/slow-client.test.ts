import { describe, expect, test } from 'bun:test';
import { connect } from 'node:net';
import { faultParts, targetFor, targetOfRaw } from '../support/fault-parts.ts';
import { until } from '../support/gateway.ts';
import { growthOf } from '../support/memory.ts';
import { chunk, framed, STREAM_HEAD, writeForEver } from '../support/raw-server.ts';

const { simulator, rawServer, gateway } = faultParts();

/** A client that asks for a stream, reads its beginning and then never reads again. */
function stalledClient(port: number) {
  const body = JSON.stringify({ stream: true, messages: [{ role: 'user', content: 'hi' }] });
  const socket = connect(port, '127.0.0.1', () =>
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    ),
  );
  let closed = false;
  socket.on('close', () => {
    closed = true;
  });
  socket.on('error', () => undefined);
  socket.once('data', () => socket.pause());
  return { isClosed: () => closed, resume: () => socket.resume(), destroy: () => socket.destroy() };
}

describe('F-30 a client that stops reading', () => {
  test('is let go after a while: the slot is free, the upstream closed, the target not blamed', async () => {
    const studio = await simulator({
      kind: 'lm-studio',
      replyTokens: 100_000,
      tokensPerSecond: Number.POSITIVE_INFINITY,
    });
    const {
      gateway: started,
      outcomes,
      chat,
    } = await gateway([targetFor(studio, { maxConcurrent: 1 })], {
      clientStallMs: 300,
      queueTimeoutMs: 10_000,
    });
    const client = stalledClient(started.port);
    await until('it streams', () => studio.active() === 1);
    await until('its slot is free again', () => started.targets()[0]?.inFlight === 0, 8_000);
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(['abandoned']);
    expect(started.targets()[0]).toMatchObject({ health: 'up', stats: { errors: 0 } });
    await until('the upstream is let go', () => studio.active() === 0);
    studio.setBehaviour({ replyTokens: 5 });
    expect((await chat('hi')).status).toBe(200);
    // Its own connection is closed too, though it does nothing towards that.
    expect(await started.stop(10_000)).toBe(true);
    client.destroy();
  }, 20_000);

  test('never makes the gateway hold what it does not read', async () => {
    const studio = await simulator({
      kind: 'lm-studio',
      replyTokens: 300_000,
      tokensPerSecond: Number.POSITIVE_INFINITY,
    });
    const { gateway: started } = await gateway([targetFor(studio)], { clientStallMs: 60_000 });
    const client = stalledClient(started.port);
    await until('it streams', () => (studio.log.at(-1)?.tokensSent ?? 0) > 0);
    let before = -1;
    await until(
      'the upstream has stopped sending',
      async () => {
        const now = studio.log.at(-1)?.tokensSent ?? 0;
        const still = now === before;
        before = now;
        await Bun.sleep(200);
        return still;
      },
      10_000,
    );
    expect(before).toBeLessThan(300_000);
    client.destroy();
  }, 20_000);

  test('fifty times over costs no memory to speak of', async () => {
    const event = framed(chunk('x'.repeat(30_000))).toString();
    const endless = await rawServer({
      chat: async ({ socket }) => {
        socket.write(STREAM_HEAD);
        await writeForEver(socket, event, 100_000_000);
      },
    });
    const { gateway: started } = await gateway([targetOfRaw(endless, { maxConcurrent: 64 })], { clientStallMs: 2_000 });
    const { result: clients, megabytes } = await growthOf(async () => {
      const stalled = Array.from({ length: 50 }, () => stalledClient(started.port));
      await until('all of them stream', () => endless.chats.length === 50, 10_000);
      await until('all of them were let go', () => started.targets()[0]?.inFlight === 0, 20_000);
      return stalled;
    });
    // Each reply is 100 MB, so that replies which are taken in whole would be 5 GB.
    expect(megabytes).toBeLessThan(1_000);
    for (const client of clients) client.destroy();
  }, 40_000);
});
