import type { GatewayProcess } from '../test/e2e/gateway-process.ts';
import { type Reading, readMetrics } from './memory.ts';
import type { ChaosServers } from './servers.ts';

const SETTLED_WITHIN_MS = 5_000;
const MOST_NAMED = 20;
const LOOK_AGAIN_MS = 50;

/** What must be gone once all clients are: slots, queues, upstream calls, and the process when it is asked to end. */
export async function leftovers(gateway: GatewayProcess, servers: ChaosServers): Promise<string[]> {
  const left: string[] = [];
  try {
    const { inFlight, queued } = await settled(gateway, servers);
    if (inFlight > 0) left.push(`${inFlight} slots are still taken`);
    if (queued > 0) left.push(`${queued} requests are still in a queue`);
  } catch (error) {
    left.push(`the gateway does not answer: ${String(error)}`);
  }
  if (servers.open() > 0) left.push(`${servers.open()} upstream calls are still open`);
  const strays = servers.strays();
  if (strays.length > 0) {
    const named = strays.slice(0, MOST_NAMED).map(({ number, targets }) => `${number} (${targets.join(', ')})`);
    left.push(`${strays.length} requests called servers after their end: ${named.join(', ')}`);
  }
  const code = await gateway.stop();
  if (code !== 0) left.push(`the gateway ended with code ${code}: ${gateway.output().slice(-500)}`);
  if (await staysTrue(() => servers.connections() > 0)) {
    left.push(`${servers.connections()} connections to servers are still open`);
  }
  return left;
}

async function settled({ url }: GatewayProcess, servers: ChaosServers): Promise<Reading> {
  let reading = await readMetrics(url);
  await staysTrue(async () => {
    reading = await readMetrics(url);
    return reading.inFlight + reading.queued + servers.open() > 0;
  });
  return reading;
}

/** False as soon as it is; true when the time is over. */
async function staysTrue(isTrue: () => boolean | Promise<boolean>): Promise<boolean> {
  const giveUpAtMs = performance.now() + SETTLED_WITHIN_MS;
  while (await isTrue()) {
    if (performance.now() > giveUpAtMs) return true;
    await Bun.sleep(LOOK_AGAIN_MS);
  }
  return false;
}
