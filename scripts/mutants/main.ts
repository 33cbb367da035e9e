// Takes each check that keeps tenants and strangers out away, one after the other, and expects a test to fail:
// `npm run mutants [-- --only <part of a path or of a check>] [--list]`. It works on a copy of the sources.
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Glob } from 'bun';
import { type Mutant, mutantsOf } from './find.ts';

const root = join(import.meta.dir, '..', '..');

const ROLES = 'test/integration/roles.test.ts';
const MATRIX = 'test/integration/access-matrix.test.ts';

/** By the beginning of a path: the tests that guard it, the quick ones first. */
const TESTS: readonly (readonly [start: string, tests: readonly string[]])[] = [
  ['src/core/', ['src/http/admin/permission.test.ts', 'src/admission', ROLES, MATRIX]],
  [
    'src/http/',
    [
      'src/http/admin/permission.test.ts',
      'src/http',
      ROLES,
      'test/integration/path-variants.test.ts',
      MATRIX,
      'test/integration/client-keys.test.ts',
      'test/integration/endpoints.test.ts',
    ],
  ],
  [
    'src/admission/',
    ['src/admission', 'test/contract/people.test.ts', ROLES, 'test/integration/client-keys.test.ts', MATRIX],
  ],
  ['src/stores/sql/repositories/audit.ts', ['test/contract/tenancy.test.ts', 'test/contract/audit.test.ts', ROLES]],
  [
    'src/stores/sql/repositories/people.ts',
    ['test/contract/tenancy.test.ts', 'test/contract/people.test.ts', ROLES, MATRIX],
  ],
  [
    'src/stores/sql/repositories/tenants.ts',
    ['test/contract/tenancy.test.ts', 'test/contract/people.test.ts', ROLES, MATRIX],
  ],
  [
    'src/stores/sql/repositories/shared-limits.ts',
    ['test/contract/tenancy.test.ts', 'test/contract/people.test.ts', ROLES, MATRIX],
  ],
  ['src/stores/sql/repositories/usage.ts', ['test/contract/store.test.ts', ROLES, MATRIX]],
  [
    'src/stores/',
    ['test/contract/tenancy.test.ts', 'test/contract/client-keys.test.ts', 'test/contract/store.test.ts', MATRIX],
  ],
];

function everyMutant(): readonly Mutant[] {
  const paths = [...new Glob('src/**/*.ts').scanSync(root)].map((path) => path.replaceAll('\\', '/')).sort();
  return paths
    .filter((path) => !path.endsWith('.test.ts') && TESTS.some(([start]) => path.startsWith(start)))
    .flatMap((path) => mutantsOf(path, readFileSync(join(root, path), 'utf8')));
}

/** A copy that may be spoilt. SQLite alone: the statements of both databases come from the same lines. */
function copyOfSources(): string {
  const copy = mkdtempSync(join(tmpdir(), 'swarmrouter-mutants-'));
  for (const name of ['src', 'test', 'simulators', 'bin', 'package.json', 'tsconfig.json']) {
    cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const postgres = join(copy, 'test/support/postgres-server.ts');
  const text = readFileSync(postgres, 'utf8');
  const skipping = text.replace('const programs = findPrograms();', "return skipped('it is left out here');\n$&");
  if (skipping === text) throw new Error('test/support/postgres-server.ts begins in another way now');
  writeFileSync(postgres, skipping);
  return copy;
}

/** The first test file or folder that fails; null: all pass. */
async function killerOf(copy: string, { path }: Mutant): Promise<string | null> {
  const tests = TESTS.find(([start]) => path.startsWith(start))?.[1] ?? [];
  for (const test of tests) {
    const child = Bun.spawn({
      cmd: [process.execPath, 'test', '--bail', '--timeout', '60000', test],
      ...{ cwd: copy, stdout: 'ignore', stderr: 'ignore', env: { ...process.env, CI: 'true' } },
    });
    if ((await child.exited) !== 0) return test;
  }
  return null;
}

async function main(words: readonly string[]): Promise<number> {
  const only = words[words.indexOf('--only') + 1] ?? '';
  const isNarrowed = words.includes('--only');
  const mutants = everyMutant().filter(({ path, what }) => !isNarrowed || `${path} ${what}`.includes(only));
  if (words.includes('--list')) {
    for (const { path, line, what } of mutants) console.log(`${path}:${line} ${what}`);
    return 0;
  }
  const copy = copyOfSources();
  const survivors: Mutant[] = [];
  try {
    for (const [at, mutant] of mutants.entries()) {
      const { path, line, what, start, end, replacement } = mutant;
      const whole = readFileSync(join(root, path), 'utf8');
      writeFileSync(join(copy, path), `${whole.slice(0, start)}${replacement}${whole.slice(end)}`);
      const killer = await killerOf(copy, mutant);
      writeFileSync(join(copy, path), whole);
      if (killer === null) survivors.push(mutant);
      console.log(
        `${at + 1}/${mutants.length} ${path}:${line} ${what}: ${killer === null ? 'SURVIVED' : `found by ${killer}`}`,
      );
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  console.log(`${mutants.length - survivors.length} of ${mutants.length} missing checks are found by a test.`);
  for (const { path, line, what } of survivors) console.log(`not found: ${path}:${line} ${what}`);
  return survivors.length === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
