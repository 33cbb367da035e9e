import { expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Glob } from 'bun';
import { outdated } from '../../scripts/mutants/accepted.ts';
import { GUARDS, mutantsOf } from '../../scripts/mutants/find.ts';
import { EVERY_TEST, testsFor } from '../../scripts/mutants/tests.ts';

const root = join(import.meta.dir, '../..');
const mutants = [...new Glob('src/**/*.ts').scanSync(root)]
  .filter((path) => !path.endsWith('.test.ts'))
  .flatMap((path) => mutantsOf(path, readFileSync(join(root, path), 'utf8')));

/** What is taken away, and what is left of the text. */
function spoilt(path: string, text: string): readonly (readonly [string, string])[] {
  return mutantsOf(path, text).map(({ what, start, end, replacement }) => [
    what,
    `${text.slice(0, start)}${replacement}${text.slice(end)}`,
  ]);
}

test('every check that is taken away has tests that are to miss it, and every file and test that is named is there', () => {
  expect(mutants.filter(({ path }) => testsFor(path).length === 0)).toEqual([]);
  expect([...GUARDS, ...EVERY_TEST].filter((path) => !existsSync(join(root, path)))).toEqual([]);
  for (const path of GUARDS) expect([path, mutants.some((mutant) => mutant.path === path)]).toEqual([path, true]);
});

test('every check that no test needs to miss is still there as it was when that was said', () => {
  expect(outdated(mutants)).toEqual([]);
});

test('a check is taken away whole, and each part of it by itself', () => {
  expect(spoilt('src/http/guard.ts', 'if (a || b) throw c;')).toEqual([
    ['if (a || b)', 'if (false) throw c;'],
    ['a in if (a || b)', 'if (false || b) throw c;'],
    ['b in if (a || b)', 'if (a || false) throw c;'],
  ]);
  expect(spoilt('src/http/guard.ts', 'if (a) count++; if (b) throw error;')).toEqual([]);
  expect(spoilt('src/http/server.ts', 'if (a) throw b;')).toEqual([]);
});

test('a tenant is taken out of statements, however they are written', () => {
  const path = 'src/stores/sql/repositories/any.ts';
  expect(spoilt(path, "q.where('organisation_id', '=', id).where('key_id', '=', key)")).toEqual([
    [".where('organisation_id', '=', id)", "q.where('key_id', '=', key)"],
  ]);
  expect(spoilt(path, "j.on('t.organisation_id', '=', id)")).toEqual([
    [".on('t.organisation_id', '=', id)", 'j.onTrue()'],
  ]);
  const written = ['sql`select 1 from t where ', 'organisation_id = $', '{id} and key_id = $', '{key}`'].join('');
  expect(spoilt(path, written)).toEqual([
    [['organisation_id = $', '{id}'].join(''), ['sql`select 1 from t where 1 = 1 and key_id = $', '{key}`'].join('')],
  ]);
});

test('a route that needs a permission needs none, and one that needs none is left as it is', () => {
  const path = 'src/http/admin/any.ts';
  expect(spoilt(path, "const r = { ...needs('key:write') };")).toEqual([
    ["needs('key:write')", "const r = { ...needs('self') };"],
  ]);
  expect(spoilt(path, "const r = { ...needs('self') };")).toEqual([]);
});
