import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Clients } from './clients.ts';
import { KilledGateway } from './gateway.ts';
import { endedRows, type Finding, judge } from './judge.ts';
import { brokenInvariants, orphansEnd, serversOf, startServers } from './run.ts';
import type { StoreTrouble } from './store-troubles.ts';

export interface TroubleResult {
  readonly name: StoreTrouble['name'];
  readonly seconds: number;
  /** Answers that ended at clients while the store took nothing, of keys without a hard budget. */
  readonly answersMeanwhile: number;
  /** Requests of such keys that got no answer meanwhile. */
  readonly failedMeanwhile: number;
  /** Answers of a key with a hard budget meanwhile: nobody can say whether there is room, so they should be few. */
  readonly budgetedMeanwhile: number;
  /** The journal at its largest. */
  readonly journalBytes: number;
  /** From the end of the trouble until everything was in the store, ms. */
  readonly healedMs: number;
  readonly answers: number;
  readonly findings: readonly Finding[];
  readonly broken: readonly string[];
}

const BEFORE_MS = 1_000;
const AFTER_MS = 1_000;
const LOOK_EVERY_MS = 200;
const HEALED_WITHIN_MS = 30_000;

/** Load before, during and after the trouble, then the ledger against what the clients were told. */
export async function runTrouble(trouble: StoreTrouble, seconds: number, clients: number): Promise<TroubleResult> {
  const simulators = await startServers();
  const gateway = new KilledGateway(serversOf(simulators), trouble.databaseUrl);
  trouble.prepare(gateway.dataDir);
  try {
    return await underLoad(gateway, trouble, seconds, clients);
  } catch (error) {
    throw new Error(`${trouble.name}: ${String(error)}; the gateway printed:\n${gateway.printed}`, { cause: error });
  } finally {
    await gateway.kill();
    await trouble.cleanUp(gateway.dataDir);
    await gateway.remove();
    await Promise.all(simulators.map((simulator) => simulator.stop()));
  }
}

async function underLoad(
  gateway: KilledGateway,
  trouble: StoreTrouble,
  seconds: number,
  clients: number,
): Promise<TroubleResult> {
  await gateway.start();
  const free = await keyFor(gateway, { name: 'free' });
  const budget = { limit_usd: 1_000, window: 'total', hard: true };
  const budgeted = await keyFor(gateway, { name: 'budgeted', budget });
  const url = gateway.url;
  const [many, few] = [
    new Clients({ url, keys: [free], clients }, 'free'),
    new Clients({ url, keys: [budgeted], clients: 2 }, 'budgeted'),
  ];
  await Bun.sleep(BEFORE_MS);
  await trouble.begin(gateway.dataDir);
  const [seenBefore, sentBefore, budgetedBefore] = [many.seen.length, many.sent, few.seen.length];
  let journalBytes = 0;
  const endsAtMs = performance.now() + seconds * 1_000;
  while (performance.now() < endsAtMs) {
    await Bun.sleep(LOOK_EVERY_MS);
    journalBytes = Math.max(journalBytes, sizeOf(join(gateway.dataDir, 'journal')));
  }
  const answersMeanwhile = many.seen.length - seenBefore;
  const sentMeanwhile = many.sent - sentBefore;
  const budgetedMeanwhile = few.seen.length - budgetedBefore;
  await trouble.end(gateway.dataDir);
  const healingFromMs = performance.now();
  await Bun.sleep(AFTER_MS);
  await Promise.all([many.stop(), few.stop()]);
  const rows = await healedRows(gateway);
  const healedMs = performance.now() - healingFromMs;
  const seen = [...many.seen, ...few.seen];
  return {
    ...{ name: trouble.name, seconds, answersMeanwhile, budgetedMeanwhile, journalBytes, healedMs },
    failedMeanwhile: Math.max(0, sentMeanwhile - answersMeanwhile - clients),
    answers: seen.length,
    findings: judge(rows, seen, endedRows(rows)),
    broken: await brokenInvariants(gateway),
  };
}

async function keyFor(gateway: KilledGateway, body: object): Promise<string> {
  return ((await gateway.admin('POST', '/admin/keys', body)) as { readonly key: string }).key;
}

/** Once the store answers again. */
async function healedRows(gateway: KilledGateway) {
  const giveUpAtMs = performance.now() + HEALED_WITHIN_MS;
  for (;;) {
    try {
      return (await orphansEnd(gateway)).rows;
    } catch (error) {
      if (performance.now() > giveUpAtMs) throw error;
      await Bun.sleep(LOOK_EVERY_MS);
    }
  }
}

function sizeOf(folder: string): number {
  try {
    return readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
  } catch {
    // There is none yet, or a file of it went between two looks.
    return 0;
  }
}
