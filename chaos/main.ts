/** `npm run chaos -- --help` */
import { parseArgs } from 'node:util';
import pc from 'picocolors';
import { ChaosFleet } from './fleet.ts';
import { type MemoryTrend, memoryTrend, type Reading, readMetrics } from './memory.ts';
import { findingLines, summaryLines } from './report.ts';
import { runMany, Tally } from './run.ts';

const HELP = `Random faults of every kind at nine servers of every wire, behind a real gateway; nothing may be lost, doubled,
mixed up, left hanging, cut in silence, or failed although another server could have answered.

  npm run chaos                                   20,000 requests with a new seed
  npm run chaos -- --requests N --seed S          N requests; the same seed makes the same requests and faults
  npm run chaos -- --soak SECONDS                 then load at a steady rate for so long: its memory must stay flat
  npm run chaos -- --only N,N --seed S            these requests of a run alone, one after the other
  npm run chaos -- --clients N                    clients at once, default 96
  npm run chaos -- --faults SHARE                 share of the requests that meet a fault at a given server, default 0.25
  npm run chaos -- --json                         the result as JSON

Exit code 0: every count that must be 0 is; 1: not; 2: a wrong flag.`;

interface Flags {
  readonly requests: number;
  readonly seed: number;
  readonly soakSeconds: number;
  readonly clients: number;
  readonly faults: number;
  readonly only: readonly number[] | null;
  readonly json: boolean;
}

function readFlags(): Flags | null {
  const { values } = parseArgs({
    options: {
      requests: { type: 'string', default: '20000' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      soak: { type: 'string', default: '0' },
      clients: { type: 'string', default: '96' },
      faults: { type: 'string', default: '0.25' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return null;
  }
  const only = values.only?.split(',').map((text) => whole('--only', text, 0, 1e9)) ?? null;
  return {
    requests: whole('--requests', values.requests, 0, 1e9),
    seed: whole('--seed', values.seed, 0, 1e9),
    soakSeconds: whole('--soak', values.soak, 0, 1e6),
    clients: only === null ? whole('--clients', values.clients, 1, 10_000) : 1,
    faults: share('--faults', values.faults),
    only,
    json: values.json,
  };
}

function whole(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new Error(`${flag} is "${text}"; allowed: a whole number from ${least} to ${most}.`);
}

function share(flag: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 1) return value;
  throw new Error(`${flag} is "${text}"; allowed: a number from 0 to 1.`);
}

async function main(): Promise<number> {
  let flags: Flags | null;
  try {
    flags = readFlags();
  } catch (error) {
    console.error(`chaos: ${error instanceof Error ? error.message : String(error)} See --help.`);
    return 2;
  }
  if (flags === null) return 0;
  const tally = new Tally();
  const fleet = await ChaosFleet.start(flags);
  const startedAtMs = performance.now();
  const progress = setInterval(() => console.error(pc.dim(progressLine(tally, startedAtMs))), 5_000);
  fleet.disturb();
  const numbers = (flags.only ?? Array.from({ length: 0 }, () => 0)).values();
  let sent = 0;
  const { requests, only } = flags;
  await runMany(fleet, flags.seed, tally, flags.clients, 0, () => {
    if (only !== null) return numbers.next().value ?? null;
    return sent < requests ? sent++ : null;
  });
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const memory = flags.soakSeconds > 0 ? await soak(fleet, flags, tally, sent) : null;
  clearInterval(progress);
  await fleet.calm();
  const leaks = await leaksOf(fleet);
  const bad =
    Object.values(tally.violations).some((count) => count > 0) || leaks.length > 0 || memory?.isFlat === false;
  if (flags.json) console.log(JSON.stringify({ ...flags, seconds, ...tally, memory, leaks, ok: !bad }, null, 2));
  else
    for (const line of [...summaryLines(flags.seed, tally, seconds, memory, leaks), ...findingLines(tally, flags.seed)])
      console.log(line);
  return bad ? 1 : 0;
}

const SOAK_CLIENTS = 32;
const SOAK_PAUSE_MS = 100;

/** The same mix at a steady rate that leaves the machine room. */
async function soak(fleet: ChaosFleet, flags: Flags, tally: Tally, from: number): Promise<MemoryTrend> {
  const endAtMs = performance.now() + flags.soakSeconds * 1_000;
  const readings: Reading[] = [];
  const sampler = setInterval(() => {
    readMetrics(fleet.gateway.url).then(
      (reading) => readings.push(reading),
      () => undefined,
    );
  }, 1_000);
  let number = from;
  await runMany(fleet, flags.seed, tally, SOAK_CLIENTS, SOAK_PAUSE_MS, () =>
    performance.now() < endAtMs ? number++ : null,
  );
  clearInterval(sampler);
  return memoryTrend(readings);
}

const SETTLED_WITHIN_MS = 5_000;

/** What must be gone once all clients are: slots, queue, sockets, and the process when it is asked to end. */
async function leaksOf(fleet: ChaosFleet): Promise<string[]> {
  const leaks: string[] = [];
  const giveUpAtMs = performance.now() + SETTLED_WITHIN_MS;
  let reading = await readMetrics(fleet.gateway.url);
  while (reading.inFlight + reading.queued > 0 && performance.now() < giveUpAtMs) {
    await Bun.sleep(50);
    reading = await readMetrics(fleet.gateway.url);
  }
  if (reading.inFlight > 0) leaks.push(`${reading.inFlight} slots are still taken`);
  if (reading.queued > 0) leaks.push(`${reading.queued} requests are still in a queue`);
  const code = await fleet.gateway.stop();
  if (code !== 0) leaks.push(`the gateway ended with code ${code}: ${fleet.gateway.output().slice(-500)}`);
  await Bun.sleep(200);
  if (fleet.connections() > 0) leaks.push(`${fleet.connections()} connections to servers are still open`);
  await fleet.stopServers();
  return leaks;
}

function progressLine(tally: Tally, startedAtMs: number): string {
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const bad = Object.values(tally.violations).reduce((sum, count) => sum + count, 0);
  return `${Math.round(seconds)} s  ${tally.requests} requests (${Math.round(tally.requests / seconds)}/s), violations ${bad}`;
}

process.exit(await main());
