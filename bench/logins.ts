/**
 * `npm run bench:logins`: 100 logins at once, 25 from each of four addresses, beside a probe that asks for /health every
 * 5 ms. How long the probe waits tells whether checking passwords holds up everything else.
 */
import { request } from 'node:http';
import { startGatewayProcess } from '../test/e2e/gateway-process.ts';
import { percentile } from './statistics.ts';

const USERS = 20;
const LOGINS = 100;
const ADDRESSES = ['127.0.0.1', '127.0.0.2', '127.0.0.3', '127.0.0.4'];
const PASSWORD = 'correct horse battery';
const PROBE_EVERY_MS = 5;
const MOST_P99_MS = 50;

const gateway = await startGatewayProcess({ SWARMROUTER_LOG_LEVEL: 'ERROR' }, { awaitReady: false });
try {
  for (let user = 0; user < USERS; user++) await createUser(`user-${user}`);
  const quiet = await probed(() => Bun.sleep(2_000));
  const startedAtMs = performance.now();
  let loggedIn = 0;
  const busy = await probed(async () => {
    const statuses = await Promise.all(Array.from({ length: LOGINS }, (_, at) => login(at)));
    loggedIn = statuses.filter((status) => status === 200).length;
  });
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const result = { logins: LOGINS, loggedIn, seconds, quiet: summary(quiet), busy: summary(busy) };
  const ok = loggedIn === LOGINS && result.busy.p99Ms < MOST_P99_MS;
  if (process.argv.includes('--json')) console.log(JSON.stringify({ ok, ...result }, null, 2));
  else {
    console.log(`${loggedIn} of ${LOGINS} logins in ${seconds.toFixed(1)} s`);
    for (const [name, { p50Ms, p99Ms, worstMs }] of Object.entries({
      quiet: result.quiet,
      'beside them': result.busy,
    })) {
      console.log(
        `  /health ${name}: half ${p50Ms.toFixed(1)} ms, 99 % ${p99Ms.toFixed(1)} ms, slowest ${worstMs.toFixed(1)} ms`,
      );
    }
    console.log(ok ? `Within ${MOST_P99_MS} ms.` : `Not within ${MOST_P99_MS} ms, or not everybody got in.`);
  }
  process.exitCode = ok ? 0 : 1;
} finally {
  await gateway.stop();
}

async function createUser(name: string): Promise<void> {
  const reply = await fetch(`${gateway.url}/admin/users`, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateway.adminKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name, password: PASSWORD, grants: [{ role: 'member' }] }),
  });
  if (reply.status !== 201) throw new Error(`a user could not be made: ${await reply.text()}`);
}

/** Bound to an address, as the throttle tells clients apart by theirs. */
function login(at: number): Promise<number> {
  const body = JSON.stringify({ name: `user-${at % USERS}`, password: PASSWORD });
  return new Promise((resolve, reject) => {
    const sent = request(
      `${gateway.url}/admin/login`,
      {
        method: 'POST',
        localAddress: ADDRESSES[at % ADDRESSES.length],
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      },
      (reply) => {
        reply.resume();
        reply.on('end', () => resolve(reply.statusCode ?? 0));
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

/** How long each probe took while `work` ran, ms. */
async function probed(work: () => Promise<unknown>): Promise<readonly number[]> {
  const tookMs: number[] = [];
  let isOver = false;
  const probing = (async () => {
    while (!isOver) {
      const startedAtMs = performance.now();
      await (await fetch(`${gateway.url}/health`)).arrayBuffer();
      tookMs.push(performance.now() - startedAtMs);
      await Bun.sleep(PROBE_EVERY_MS);
    }
  })();
  await work();
  isOver = true;
  await probing;
  return tookMs;
}

function summary(tookMs: readonly number[]) {
  const sorted = [...tookMs].sort((one, other) => one - other);
  return { p50Ms: percentile(sorted, 0.5), p99Ms: percentile(sorted, 0.99), worstMs: sorted.at(-1) ?? 0 };
}
