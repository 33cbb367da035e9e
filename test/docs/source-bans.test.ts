// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what stands in these texts is code that is to be caught

import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Glob } from 'bun';
import { banned, type Rule } from './source-bans.ts';

const root = join(import.meta.dir, '..', '..');

/** By rule and file, with how often and why: one use more fails, and so does one that is gone. */
const ALLOWED: Readonly<Record<string, { readonly uses: number; readonly why: string }>> = {
  'other program: bin/launcher.mjs': { uses: 1, why: 'Node starts Bun' },
  'other program: src/cli/launch.ts': { uses: 1, why: 'starts this program again where it cannot be replaced' },
  'statement built from text: src/stores/postgres/postgres-store.ts': { uses: 1, why: 'a number of this file' },
  'statement built from text: src/stores/sql/ledger/script.ts': { uses: 1, why: 'names of columns of this folder' },
  'statement built from text: src/stores/sql/ledger/statements.ts': {
    uses: 13,
    why: 'made once when the module is loaded, of names of columns of this file; every value is a parameter',
  },
  'statement built from text: src/stores/sql/repositories/usage.ts': {
    uses: 3,
    why: 'expressions of a table in this file, and places in a list',
  },
  'statement built from text: src/stores/sql/repositories/verify.ts': {
    uses: 11,
    why: 'the rules of src/stores/sql/verify, and numbers; nothing that anybody sent',
  },
  'statement built from text: src/stores/sql/verify/guards.ts': { uses: 2, why: 'names of tables' },
  'statement built from text: src/stores/sql/verify/overcharges.ts': { uses: 1, why: 'a condition of this file' },
  'statement built from text: src/stores/sql/verify/window-rules.ts': { uses: 1, why: 'other constants' },
  'statement built from text: src/stores/sqlite/connection.ts': { uses: 2, why: 'numbers of this file' },
};
/** They make tables, once, of constants: no request ever reaches them. */
const MIGRATIONS = 'src/stores/sql/migrations/';

function uses(): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  const files = [...new Glob('{src,bin}/**/*.{ts,js,mjs}').scanSync(root)].map((path) => path.replaceAll('\\', '/'));
  for (const path of files.filter((name) => !/\.test\.ts$/.test(name) && !name.startsWith(MIGRATIONS))) {
    for (const { rule } of banned(path, readFileSync(join(root, path), 'utf8'))) {
      counts[`${rule}: ${path}`] = (counts[`${rule}: ${path}`] ?? 0) + 1;
    }
  }
  return counts;
}

describe('L-01 L-02 the sources of the product', () => {
  test('build no statement from text, evaluate no text and start no program, but where it is known to be harmless', () => {
    expect(uses()).toEqual(Object.fromEntries(Object.entries(ALLOWED).map(([place, { uses }]) => [place, uses])));
  }, 30_000);

  const CAUGHT: readonly [Rule, string][] = [
    ['statement built from text', 'const rows = db.query(`select * from client_key where key_hash = ${hash}`);'],
    ['statement built from text', "db.run('delete from person where login = ' + name);"],
    ['statement built from text', 'const condition = `where name = ${name}`;'],
    ['statement built from text', 'query.where(sql.raw(condition));'],
    ['statement built from text', 'sql`select ${sql.lit(name)}`;'],
    ['statement built from text', 'client.query(`update budget set settled = ${amount}`);'],
    ['evaluated text', 'eval(text);'],
    ['evaluated text', 'globalThis.eval(text);'],
    ['evaluated text', "new Function('return 1')();"],
    ['evaluated text', "Function('return 1')();"],
    ['evaluated text', "setTimeout('go()', 1);"],
    ['evaluated text', "import { runInThisContext } from 'node:vm';"],
    ['evaluated text', "import Handlebars from 'handlebars';"],
    ['other program', "import { exec } from 'child_process';"],
    ['other program', "const { exec } = await import('node:child_process');"],
    ['other program', "const { exec } = require('node:child_process');"],
    ['other program', "Bun.spawn(['sh', '-c', command]);"],
    ['other program', 'await Bun.$`ls ${folder}`;'],
    ['other program', 'await $`ls ${folder}`;'],
    ['import of a computed name', 'await import(name);'],
    ['import of a computed name', 'require(name);'],
  ];
  for (const [rule, code] of CAUGHT) {
    test(`would be caught at: ${code.replaceAll('${', '$ {')}`, () => {
      expect(banned('planted.ts', code).map((found) => found.rule)).toContain(rule);
    });
  }

  test('are not held against what passes values as parameters, or speaks to people', () => {
    const harmless = [
      'const rows = sql`select * from person where login = ${name}`;',
      'throw new Error(`there is nothing to select from ${name}, where x = ${y}`);',
      'db.selectFrom("person").where("login", "=", name);',
      "await import('./stores/sqlite/sqlite-store.ts');",
      'setTimeout(() => go(), 1);',
    ];
    for (const code of harmless) expect(banned('planted.ts', code)).toEqual([]);
  });
});
