/** `npm run chaos -- --help` */
import type { GatewayProcess } from '../test/e2e/gateway-process.ts';
import { checkBilling } from './billing/ledger.ts';
import { type Flags, HELP, readFlags } from './flags.ts';
import { HUNG_AFTER_MS, LEAVING_MS, MAX_RETRIES, startChaosGateway } from './fleet.ts';
import { leftovers } from './leftovers.ts';
import { type MemoryTrend, memoryTrend, type Reading, readMetrics } from './memory.ts';
import { findingLines, isGood, jsonOf, progressLine, type Result, summaryLines } from './report.ts';
import { type Arena, runMany } from './run.ts';
import { ChaosServers } from './servers.ts';
import { Tally } from './tally.ts';

async function main(): Promise<number> {
  let flags: Flags | null;
  try {
    flags = readFlags(process.argv.slice(2), Date.now());
  } catch (error) {
    console.error(`chaos: ${error instanceof Error ? error.message : String(error)} See --help.`);
    return 2;
  }
  if (flags === null) {
    console.log(HELP);
    return 0;
  }
  const result = await run(flags);
  if (flags.json) console.log(JSON.stringify(jsonOf(result), null, 2));
  else for (const line of [...summaryLines(result), ...findingLines(result)]) console.log(line);
  return isGood(result) ? 0 : 1;
}

async function run(flags: Flags): Promise<Result> {
  const servers = await ChaosServers.start({ ...flags, maxAttempts: MAX_RETRIES + 1 });
  let gateway: GatewayProcess | null = null;
  try {
    gateway = await startChaosGateway(servers, flags.log);
    const arena: Arena = {
      url: gateway.url,
      servers,
      seed: flags.seed,
      hungAfterMs: HUNG_AFTER_MS,
      leavingMs: LEAVING_MS,
      invoice: [],
    };
    const tally = new Tally();
    const startedAtMs = performance.now();
    const secondsSoFar = (): number => (performance.now() - startedAtMs) / 1_000;
    const progress = setInterval(() => console.error(progressLine(tally, secondsSoFar())), 5_000);
    // A request that is looked at again should meet its own faults alone.
    if (flags.only === null) servers.disturb();
    await runMany(arena, tally, flags, numbersOf(flags));
    const seconds = secondsSoFar();
    const rssMegabytes = await readMetrics(gateway.url).then(
      (reading) => reading.rssMegabytes,
      () => null,
    );
    const memory = flags.soakSeconds > 0 ? await soak(arena, flags, tally) : null;
    clearInterval(progress);
    await servers.calm();
    const billing = await checkBilling(gateway, arena.invoice);
    return { flags, seconds, tally, rssMegabytes, memory, billing, leftovers: await leftovers(gateway, servers) };
  } finally {
    // Nothing to do, but where something was thrown.
    await gateway?.stop();
    await servers.stop();
  }
}

function numbersOf({ only, requests }: Flags): () => number | null {
  let sent = 0;
  return () => {
    if (sent >= requests) return null;
    const at = sent++;
    return only === null ? at : (only[at] ?? null);
  };
}

const SOAK_CLIENTS = 32;
const SOAK_PAUSE_MS = 100;

/** The same mix at a steady rate that leaves the machine room. */
async function soak(arena: Arena, flags: Flags, tally: Tally): Promise<MemoryTrend> {
  const endAtMs = performance.now() + flags.soakSeconds * 1_000;
  const readings: Reading[] = [];
  const sampler = setInterval(() => {
    readMetrics(arena.url).then(
      (reading) => readings.push(reading),
      // Missing readings are missed by the trend.
      () => undefined,
    );
  }, 1_000);
  let number = flags.requests;
  await runMany(arena, tally, { clients: SOAK_CLIENTS, pauseMs: SOAK_PAUSE_MS }, () =>
    performance.now() < endAtMs ? number++ : null,
  );
  clearInterval(sampler);
  return memoryTrend(readings);
}

process.exit(await main());
