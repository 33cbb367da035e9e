/** `npm run crash -- --help` */
import { startPostgres } from '../../test/support/postgres-server.ts';
import { type Flags, HELP, readFlags, type StoreKind } from './flags.ts';
import { runKills, type StoreResult } from './run.ts';

const READY_WITHIN_MS = 2_000;
const ORPHANS_WITHIN_MS = 10_000;
const MOST_SHOWN = 20;

async function main(): Promise<number> {
  let flags: Flags | null;
  try {
    flags = readFlags(process.argv.slice(2), Date.now());
  } catch (error) {
    console.error(`crash: ${error instanceof Error ? error.message : String(error)} See --help.`);
    return 2;
  }
  if (flags === null) {
    console.log(HELP);
    return 0;
  }
  const results = await runAll(flags);
  const ok = results.length > 0 && results.every(isGood);
  if (flags.json) console.log(JSON.stringify({ ok, seed: flags.seed, results }, null, 2));
  else for (const line of linesOf(results, flags, ok)) console.log(line);
  return ok ? 0 : 1;
}

async function runAll(flags: Flags): Promise<StoreResult[]> {
  const postgres = flags.store === 'sqlite' ? null : await startPostgres();
  const wanted: readonly StoreKind[] = flags.store === null ? ['sqlite', 'postgres'] : [flags.store];
  const stores = wanted.filter((store) => store === 'sqlite' || postgres !== null);
  const results: StoreResult[] = [];
  const note = (line: string): void => console.error(line);
  try {
    for (const [index, store] of stores.entries()) {
      const kills = Math.floor((flags.kills + index) / stores.length);
      if (kills === 0) continue;
      const databaseUrl = store === 'postgres' ? ((await postgres?.database()) ?? null) : null;
      results.push(await runKills(flags, kills, { store, databaseUrl }, note));
    }
  } finally {
    await postgres?.stop();
  }
  return results;
}

function isGood({ findings, broken, slowestReadyMs, slowestOrphansMs, overspentUsd, answers }: StoreResult): boolean {
  const inTime = slowestReadyMs <= READY_WITHIN_MS && slowestOrphansMs <= ORPHANS_WITHIN_MS;
  return findings.length + broken.length === 0 && inTime && overspentUsd <= 0 && answers > 0;
}

function linesOf(results: readonly StoreResult[], { seed }: Flags, ok: boolean): string[] {
  const lines = results.flatMap((result) => {
    const { store, kills, requests, answers, refused, rows, states } = result;
    const shown = [...result.findings.map(({ kind, text }) => `${kind}: ${text}`), ...result.broken];
    const more = shown.length > MOST_SHOWN ? [`    and ${shown.length - MOST_SHOWN} more`] : [];
    return [
      `${store}: ${kills} kills, ${requests} requests, ${answers} answers that ended at their clients, ${refused} refused by the budget`,
      `  on record: ${rows} calls (${Object.entries(states)
        .map(([state, count]) => `${count} ${state}`)
        .join(', ')})`,
      `  lost or altered: ${result.findings.length} · broken invariants: ${result.broken.length} · overspent: $${result.overspentUsd}`,
      `  slowest start until ready: ${Math.round(result.slowestReadyMs)} ms (at most ${READY_WITHIN_MS}) · calls of the dead resolved after ${Math.round(result.slowestOrphansMs)} ms (at most ${ORPHANS_WITHIN_MS})`,
      ...shown.slice(0, MOST_SHOWN).map((text) => `    ${text}`),
      ...more,
    ];
  });
  return [...lines, `${ok ? 'Nothing was lost.' : 'Not as it should be.'} Seed ${seed}.`];
}

process.exit(await main());
