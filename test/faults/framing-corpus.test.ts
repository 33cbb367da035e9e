import { afterEach, describe, expect, test } from 'bun:test';
import type { Simulator } from '../../simulators/index.ts';
import { faultParts, targetFor } from '../support/fault-parts.ts';
import { type TestGateway, until } from '../support/gateway.ts';
import { type NginxServer, nginxProgram, startNginx } from '../support/nginx-server.ts';
import { talk } from '../support/raw-client.ts';
import { inference } from '../support/running.ts';
import { ATTACKS } from './framing-corpus.ts';

const parts = faultParts();

/** The final statuses of what came. */
const statusesOf = (received: string): string[] =>
  [...received.matchAll(/HTTP\/1\.1 ([2-5]\d\d)/g)].map(([, status]) => status ?? '');
const canariesOf = (server: Simulator): string[] =>
  inference(server).map(({ body }) => /canary:(\w+)/.exec(JSON.stringify(body))?.[1] ?? 'none');

/** A later request, so that what hides in the one before would have been served by the time it is answered. */
async function laterIsServed({ chat }: Pick<TestGateway, 'chat'>): Promise<void> {
  const response = await chat({ model: 'sim-model', messages: [{ role: 'user', content: 'canary:LATER' }] });
  expect([response.status, (await response.text()).includes('canary:LATER')]).toEqual([200, true]);
}

describe('S-16, L-24 what two servers could read differently', () => {
  test('is a corpus of more than a hundred requests, each of them another', () => {
    expect(ATTACKS.length).toBeGreaterThan(100);
    expect(new Set(ATTACKS.map(({ bytes }) => bytes)).size).toBe(ATTACKS.length);
  });

  for (const { name, bytes, requests } of ATTACKS) {
    const most = { 0: 'no server sees it', 1: 'one server sees it once', 'given up': 'a server sees it once at most' }[
      requests
    ];
    test(`${name}: ${most}`, async () => {
      const server = await parts.simulator({ kind: 'vllm' });
      const on = await parts.gateway([targetFor(server)]);
      const client = talk(on.gateway.port, Buffer.from(bytes, 'latin1'));
      await until('it is answered', () => client.isClosed() || statusesOf(client.received()).length > 0);
      await laterIsServed(on);
      const seen = canariesOf(server);
      const allowed = { 0: [''], 1: ['ONE,'], 'given up': ['', 'ONE,'] }[requests];
      expect(allowed.map((before) => `${before}LATER`)).toContain(seen.join());
      expect(statusesOf(client.received()).length).toBeLessThanOrEqual(1);
      client.destroy();
    });
  }

  for (const [what, keep] of [
    ['in the middle of its body', 30],
    ['before its end', 6],
  ] as const) {
    test(`a client that leaves ${what} has asked nothing`, async () => {
      for (const { bytes } of ATTACKS.filter(({ name }) => name === 'chunks' || name === 'Expect: 100-continue')) {
        const server = await parts.simulator({ kind: 'vllm' });
        const on = await parts.gateway([targetFor(server)]);
        const client = talk(on.gateway.port, Buffer.from(bytes, 'latin1').subarray(0, -keep));
        client.finish();
        await until('it is let go', () => client.isClosed());
        await laterIsServed(on);
        expect(canariesOf(server)).toEqual(['LATER']);
      }
    });
  }
});

const program = nginxProgram();
if (program === null) console.log('skipped: S-16 behind nginx, since it is not installed (Debian: nginx)');

describe.skipIf(program === null)('S-16 behind nginx as deploy/nginx.conf has it', () => {
  let nginx: NginxServer | null = null;
  afterEach(async () => {
    await nginx?.stop();
    nginx = null;
  });

  test('a server sees no more requests than nginx answered, and a hidden one only where nginx took it for one', async () => {
    const server = await parts.simulator({ kind: 'vllm' });
    const on = await parts.gateway([targetFor(server)], { allowedHosts: ['localhost'] });
    nginx = await startNginx(program ?? '', on.gateway.port);
    const { port, credential } = nginx;
    let served = 0;
    const wrong: string[] = [];
    for (const { name, bytes } of ATTACKS) {
      const before = canariesOf(server).length;
      const sent = bytes.replaceAll('host: localhost\r\n', `host: localhost\r\nauthorization: ${credential}\r\n`);
      const client = talk(port, Buffer.from(sent, 'latin1'));
      await until(`${name} is answered`, () => client.isClosed() || statusesOf(client.received()).length > 0);
      // Through the same nginx: its connections to the gateway are used again, crosswise if they could be.
      const later = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: credential, host: 'localhost' },
        body: JSON.stringify({ model: 'sim-model', messages: [{ role: 'user', content: 'canary:LATER' }] }),
      });
      const text = await later.text();
      if (later.status !== 200 || !text.includes('canary:LATER')) wrong.push(`${name}: ${later.status} ${text}`);
      const seen = canariesOf(server).slice(before);
      const answers = statusesOf(client.received()).filter((status) => status === '200').length;
      if (seen.filter((canary) => canary !== 'LATER').length > Math.max(1, answers)) wrong.push(`${name}: ${seen}`);
      if (seen.includes('EVIL') && statusesOf(client.received()).length < 2) wrong.push(`${name}: hidden, ${seen}`);
      served += seen.includes('ONE') ? 1 : 0;
      client.destroy();
    }
    expect(wrong).toEqual([]);
    // The honest ones pass, else this proves nothing.
    expect(served).toBeGreaterThan(5);
  }, 120_000);
});
