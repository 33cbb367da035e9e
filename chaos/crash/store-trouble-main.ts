/** `npm run store-trouble -- --help` */
import { parseArgs } from 'node:util';
import { runTrouble, type TroubleResult } from './store-trouble.ts';
import { full, gone, locked, type StoreTrouble } from './store-troubles.ts';

const HELP = `The store takes nothing for a while under load: another process holds SQLite's lock, the disk is full, PostgreSQL is gone.
Known keys must keep working, the journal stay bounded, nothing be lost, and all heal by itself.

  npm run store-trouble                    10 s each
  npm run store-trouble -- --seconds 60    so long
  npm run store-trouble -- --clients N     clients at once, default 16
  npm run store-trouble -- --json          the result as JSON

Exit code 0: all of it holds; 1: not; 2: a wrong flag.`;

/** What docs/operations/usage.md promises. */
const MOST_JOURNAL_BYTES = 64 * 2 ** 20;
const HEALED_WITHIN_MS = 30_000;
const MOST_SHOWN = 10;

interface Flags {
  readonly seconds: number;
  readonly clients: number;
  readonly json: boolean;
  readonly help: boolean;
}

async function main(): Promise<number> {
  let flags: Flags;
  try {
    flags = readFlags();
  } catch (error) {
    console.error(`store-trouble: ${error instanceof Error ? error.message : String(error)} See --help.`);
    return 2;
  }
  if (flags.help) {
    console.log(HELP);
    return 0;
  }
  const { seconds, clients } = flags;
  const troubles = [locked(), full(), await gone()].filter((trouble): trouble is StoreTrouble => trouble !== null);
  const results: TroubleResult[] = [];
  for (const trouble of troubles) {
    console.error(`${trouble.name}: ${seconds} s …`);
    results.push(await runTrouble(trouble, seconds, clients));
  }
  const ok = results.every(isGood);
  if (flags.json) console.log(JSON.stringify({ ok, results }, null, 2));
  else
    for (const line of [...results.flatMap(linesOf), ok ? 'Nothing was lost.' : 'Not as it should be.'])
      console.log(line);
  return ok ? 0 : 1;
}

function readFlags(): Flags {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '10' },
      clients: { type: 'string', default: '16' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  return {
    ...{ json: values.json, help: values.help },
    ...{ seconds: whole('--seconds', values.seconds, 3_600), clients: whole('--clients', values.clients, 1_000) },
  };
}

function whole(flag: string, text: string, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= most) return value;
  throw new Error(`${flag} is "${text}"; allowed: a whole number from 1 to ${most}.`);
}

function isGood({
  findings,
  broken,
  answersMeanwhile,
  failedMeanwhile,
  journalBytes,
  healedMs,
}: TroubleResult): boolean {
  const keptWorking = answersMeanwhile > 0 && failedMeanwhile === 0;
  const healed = findings.length + broken.length === 0 && healedMs <= HEALED_WITHIN_MS;
  return keptWorking && healed && journalBytes <= MOST_JOURNAL_BYTES;
}

function linesOf(result: TroubleResult): string[] {
  const { name, seconds, answersMeanwhile, failedMeanwhile, budgetedMeanwhile, journalBytes } = result;
  const shown = [...result.findings.map(({ kind, text }) => `${kind}: ${text}`), ...result.broken];
  return [
    `${name} for ${seconds} s: ${answersMeanwhile} answers meanwhile, ${failedMeanwhile} failed; under a hard budget ${budgetedMeanwhile}`,
    `  journal ${(journalBytes / 1_024).toFixed(0)} KB at most · all in the store ${Math.round(result.healedMs)} ms after it`,
    `  ${result.answers} answers that ended at their clients, lost or altered ${result.findings.length}, broken invariants ${result.broken.length}`,
    ...shown.slice(0, MOST_SHOWN).map((text) => `    ${text}`),
  ];
}

process.exit(await main());
