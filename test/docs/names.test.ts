import { describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../../src/cli/program.ts';
import { recordedTerminal } from '../../src/cli/terminal-fixture.ts';
import { SETTING_LIST } from '../../src/config/schema.ts';
import { FAILURE_RULES, type FailureKind, type FailureRule } from '../../src/core/failure.ts';
import { METRICS } from '../../src/telemetry/metric-list.ts';
import { deployFiles, markdownPages, ROOT, readText, sectionOf, tableRows } from './documents.ts';

const allOf = (text: string, pattern: RegExp): string[] => [
  ...new Set([...text.matchAll(pattern)].map((match) => match[1] ?? match[0])),
];

const documents = [...markdownPages(), ...deployFiles()];

describe('names in the documents', () => {
  test('every npm script exists', () => {
    const { scripts } = JSON.parse(readText('package.json')) as { scripts: Record<string, string> };
    // npm's own commands that run a script of the same name.
    const known = new Set([...Object.keys(scripts), 'start', 'test']);
    const used = documents.flatMap((path) => allOf(readText(path), /npm run ([\w:-]+)/g));
    expect(used.length).toBeGreaterThan(5);
    expect(used.filter((name) => !known.has(name))).toEqual([]);
  });

  test('every script that starts a file has that file', () => {
    const { scripts } = JSON.parse(readText('package.json')) as { scripts: Record<string, string> };
    const files = Object.values(scripts).flatMap((script) => allOf(script, /[\w./-]+\.(?:ts|mjs)\b/g));
    expect(files.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
  });

  const settingNames = new Set(SETTING_LIST.map(([, setting]) => setting.name));
  for (const path of documents) {
    test(`${path}: every setting it names exists`, () => {
      const pattern = /\b(?:SWARMROUTER|LMSTUDIO|OPENROUTER|AZURE|OLLAMA|LLAMACPP|VLLM|SGLANG)_[A-Z0-9_]*[A-Z0-9]/g;
      expect(allOf(readText(path), pattern).filter((name) => !settingNames.has(name))).toEqual([]);
    });
  }

  test('every metric exists', () => {
    const known: ReadonlySet<string> = new Set(
      METRICS.flatMap(({ name }) => [name, `${name}_bucket`, `${name}_sum`, `${name}_count`]),
    );
    const used = markdownPages().flatMap((path) => allOf(readText(path), /\b(?:swarmrouter|process)_[a-z_]+\b/g));
    expect(used.length).toBeGreaterThan(5);
    expect(used.filter((name) => !known.has(name))).toEqual([]);
  });

  test('every error code occurs in the program', () => {
    const sources = [...new Bun.Glob('src/**/*.ts').scanSync({ cwd: ROOT })].filter(
      (path) => !path.endsWith('.test.ts'),
    );
    const program = sources.map(readText).join('\n');
    const codes = markdownPages().flatMap((path) => allOf(readText(path), /\b[45]\d\d `([a-z]+(?:_[a-z]+)+)`/g));
    expect(codes.length).toBeGreaterThan(10);
    expect(codes.filter((code) => !program.includes(`'${code}'`))).toEqual([]);
  });

  test('every subcommand of the command line exists', async () => {
    const used = documents.flatMap((path) => allOf(readText(path), /npm run swarmrouter -- ([a-z]+)/g));
    expect(used).toContain('check');
    for (const command of new Set(used)) {
      const terminal = recordedTerminal({ directory: ROOT });
      expect(await runProgram([command, '--help'], terminal)).toBe(0);
      expect(terminal.written().out).toStartWith(`Usage: swarmrouter ${command}`);
    }
  });
});

describe('ARCHITECTURE.md', () => {
  const page = readText('ARCHITECTURE.md');

  test('every path it names exists', () => {
    const paths = allOf(page, /`((?:src|bin|test|simulators|bench|scripts|deploy|docs)(?:\/[\w.*/-]+)?)`/g);
    expect(paths.length).toBeGreaterThan(40);
    const missing = paths.map((path) => path.replace(/\/\*$/, '')).filter((path) => !existsSync(join(ROOT, path)));
    expect(missing).toEqual([]);
  });

  test('every file of its drawing exists', () => {
    const drawing = sectionOf(page, "## A request's way");
    const files = allOf(drawing, /\["?([\w./-]+\.ts)/g);
    expect(files.length).toBeGreaterThan(8);
    const folders = ['src/http', 'src/router', 'src/adapters'];
    const missing = files.filter((file) => !folders.some((folder) => existsSync(join(ROOT, folder, file))));
    expect(missing).toEqual([]);
  });

  test('its failure table is the one that the program uses', () => {
    const rows = tableRows(sectionOf(page, '## The failure table'));
    const word = (yes: boolean): string => (yes ? 'yes' : 'no');
    const rules = Object.entries(FAILURE_RULES) as [FailureKind, FailureRule][];
    expect(rows).toEqual(
      rules.map(([kind, rule]) => [
        `\`${kind}\``,
        word(rule.tryNext),
        word(rule.trySameAgain),
        rule.hurtsHealth,
        `${rule.clientStatus} \`${rule.clientCode}\``,
      ]),
    );
  });
});
