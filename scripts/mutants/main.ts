// Takes each check that keeps tenants and strangers out away, one after the other, and expects a test to fail:
// `npm run mutants [-- --only <part of a path or of a check>]… [--list]`. It works on a copy of the sources, and ends
// with 1 when a check is missed by no test.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Glob } from 'bun';
import { outdated, whyAccepted } from './accepted.ts';
import { type Mutant, mutantsOf } from './find.ts';
import { SpoiltCopy } from './spoilt-copy.ts';
import { testsFor } from './tests.ts';

const root = join(import.meta.dir, '..', '..');

function everyMutant(copy: SpoiltCopy): readonly Mutant[] {
  const paths = [...new Glob('src/**/*.ts').scanSync(root)].map((path) => path.replaceAll('\\', '/')).sort();
  return paths
    .filter((path) => !path.endsWith('.test.ts') && testsFor(path).length > 0)
    .flatMap((path) => mutantsOf(path, copy.read(path)));
}

const placeOf = ({ path, line, what }: Mutant): string => `${path}:${line} ${what}`;

/** Those that no test finds. */
async function survivorsOf(copy: SpoiltCopy, mutants: readonly Mutant[]): Promise<readonly Mutant[]> {
  const survivors: Mutant[] = [];
  for (const [at, mutant] of mutants.entries()) {
    const failure = await copy.failureWithout(mutant, testsFor(mutant.path));
    if (failure === null) survivors.push(mutant);
    const found = failure === null ? 'NO TEST FAILS' : `found by ${failure.file}: ${failure.name}`;
    console.log(`${at + 1} of ${mutants.length}  ${placeOf(mutant)}: ${found}`);
  }
  return survivors;
}

function report(tried: number, accepted: readonly Mutant[], survivors: readonly Mutant[]): void {
  console.log(`\n${tried - survivors.length} of ${tried} missing checks are found by a test.`);
  for (const mutant of accepted) console.log(`left out: ${placeOf(mutant)}: ${whyAccepted(mutant)}`);
  for (const mutant of survivors) console.log(`no test fails without: ${placeOf(mutant)}`);
}

async function run(copy: SpoiltCopy, only: readonly string[]): Promise<number> {
  const every = everyMutant(copy);
  const chosen = every.filter((mutant) => only.length === 0 || only.some((part) => placeOf(mutant).includes(part)));
  const accepted = chosen.filter((mutant) => whyAccepted(mutant) !== null);
  const tried = chosen.filter((mutant) => whyAccepted(mutant) === null);
  // What fails anyway finds nothing.
  const tests = [...new Set(tried.flatMap(({ path }) => testsFor(path)))];
  console.log(`${tried.length} checks, ${tests.length} files or folders of tests; first with all checks in place`);
  const failure = await copy.failureOf(tests);
  if (failure !== null) {
    console.error(`${failure.file} fails with all checks in place: ${failure.name}. Repair it, then try again.`);
    return 2;
  }
  const survivors = await survivorsOf(copy, tried);
  report(tried.length, accepted, survivors);
  const gone = outdated(every);
  for (const text of gone) console.log(`scripts/mutants/accepted.ts names a check that is not there: ${text}`);
  return survivors.length + gone.length === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { only: { type: 'string', multiple: true, default: [] }, list: { type: 'boolean', default: false } },
  });
  const copy = new SpoiltCopy(root);
  for (const [signal, code] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const]) {
    process.once(signal, () => {
      copy.remove();
      process.exit(code);
    });
  }
  try {
    if (!values.list) return await run(copy, values.only);
    for (const mutant of everyMutant(copy)) console.log(placeOf(mutant));
    return 0;
  } finally {
    copy.remove();
  }
}

process.exitCode = await main();
