/**
 * `npm run bench:slow-clients`: 2,000 connections that send a byte of their request now and then and never end it, a
 * third of them in its headers, a third in its body, a third that never read their answer, beside normal requests.
 * Passes when none of those fails and all that drip are closed.
 */
import { connect, type Socket } from 'node:net';
import { parseArgs } from 'node:util';
import { startSimulator } from '../simulators/index.ts';
import { startGatewayProcess } from '../test/e2e/gateway-process.ts';
import { percentile } from './statistics.ts';

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '2000' },
    // Longer than what the gateway gives to headers and bodies that are dripped.
    seconds: { type: 'string', default: '30' },
    json: { type: 'boolean', default: false },
  },
});
const CONNECTIONS = Number(values.connections);
const SECONDS = Number(values.seconds);
const DRIP_EVERY_MS = 1_000;
const CLIENTS = 16;
const HEAD = 'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n';

const simulator = await startSimulator({ kind: 'lm-studio', models: [{ id: 'sim-model' }], replyTokens: 12 });
const gateway = await startGatewayProcess({
  LMSTUDIO_ENABLED: 'true',
  LMSTUDIO_URL: simulator.url,
  SWARMROUTER_LOG_LEVEL: 'ERROR',
});
const port = Number(new URL(gateway.url).port);
const sockets: Socket[] = [];
let closed = 0;
try {
  const quiet = await load(3_000);
  // Slowly enough for their own requests to find room: what is measured is what they hold, not a burst.
  for (let at = 0; at < CONNECTIONS; at++) {
    sockets.push(await slowClient(at % 3));
    await Bun.sleep(3);
  }
  const drip = setInterval(() => {
    for (const [at, socket] of sockets.entries()) if (!socket.destroyed && at % 3 !== 2) socket.write('x');
  }, DRIP_EVERY_MS);
  const beside = await load(SECONDS * 1_000);
  clearInterval(drip);
  const stillDripping = sockets.filter((socket, at) => at % 3 !== 2 && !socket.destroyed).length;
  const result = { connections: CONNECTIONS, closedByGateway: closed, stillDripping, quiet, beside };
  const ok = beside.failed === 0 && beside.served > 0 && stillDripping === 0;
  if (values.json) console.log(JSON.stringify({ ok, ...result }, null, 2));
  else {
    console.log(
      `${CONNECTIONS} slow connections for ${SECONDS} s, ${closed} of them closed by the gateway, ${stillDripping} still dripping`,
    );
    for (const [name, { served, failed, statuses, p50Ms, p99Ms }] of Object.entries({ quiet, 'beside them': beside })) {
      console.log(
        `  ${name}: ${served} answers, ${failed} failed ${JSON.stringify(statuses)}, half ${p50Ms.toFixed(1)} ms, 99 % ${p99Ms.toFixed(1)} ms`,
      );
    }
  }
  process.exitCode = ok ? 0 : 1;
} finally {
  for (const socket of sockets) socket.destroy();
  await gateway.stop();
  await simulator.stop();
}

function slowClient(manner: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      if (manner === 0) socket.write(`${HEAD}x-slow: `);
      else if (manner === 1)
        socket.write(`${HEAD}content-type: application/json\r\ncontent-length: 100000\r\n\r\n{"model":"`);
      else {
        const body = JSON.stringify({ model: 'sim-model', messages: [{ role: 'user', content: 'hi' }] });
        socket.pause();
        socket.write(`${HEAD}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      }
      resolve(socket);
    });
    socket.on('error', reject);
    socket.on('close', () => closed++);
  });
}

async function load(forMs: number) {
  const endsAtMs = performance.now() + forMs;
  const tookMs: number[] = [];
  let failed = 0;
  const statuses: Record<string, number> = {};
  const client = async (): Promise<void> => {
    while (performance.now() < endsAtMs) {
      const startedAtMs = performance.now();
      const reply = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'sim-model', messages: [{ role: 'user', content: 'hello' }] }),
      }).catch(() => null);
      if (reply?.status === 200 && (await reply.text()) !== '') tookMs.push(performance.now() - startedAtMs);
      else {
        failed++;
        const status = String(reply?.status ?? 'no reply');
        statuses[status] = (statuses[status] ?? 0) + 1;
      }
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  const sorted = tookMs.sort((one, other) => one - other);
  return { served: sorted.length, failed, statuses, p50Ms: percentile(sorted, 0.5), p99Ms: percentile(sorted, 0.99) };
}
