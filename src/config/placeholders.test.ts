// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of shells
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Glob } from 'bun';
import { loadConfig } from './load.ts';
import { describeProblem } from './problem.ts';

const root = join(import.meta.dir, '..', '..');
const OURS = ['SWARMROUTER_ADMIN_KEY', 'SWARMROUTER_KEY_PEPPER', 'SWARMROUTER_MASTER_KEY'];
const SECRETS = [...OURS, 'OPENROUTER_API_KEY', 'LMSTUDIO_API_KEY', 'AZURE_API_KEY'];

/** What examples of this and other products write where a secret belongs. */
const PLACEHOLDERS = [
  ...['changeme', 'CHANGEME', 'change-me', 'change_me_please', 'ChangeThis', 'replace-me', 'your-key-here'],
  ...['YOUR_API_KEY', 'sk-...', 'sk-xxxx', 'sk-your-key', 'sk-or-v1-...', 'xxxxxxxxxxxxxxxx', '****************'],
  ...['<admin-key>', '${ADMIN_KEY}', 'secret', 'password', 'admin', 'token', 'test', 'none', 'todo'],
  ...['insert-key-here', 'my-key-goes-here'],
];

const files = new Map([['/run/secrets/key', 'changeme-please\n']]);

/** What is wrong with a value of a setting; null: it is taken. */
function faultOf(name: string, value: string, more: Readonly<Record<string, string>> = {}): string | null {
  const result = loadConfig({
    ...{ flags: {}, directory: '/nowhere', homeDirectory: '/home/ann', platform: 'linux' },
    environment: { AZURE_ENABLED: 'false', ...more, [name]: value },
    readFile: (path) => files.get(path) ?? null,
  });
  const problem = result.ok ? undefined : result.problems.find((one) => one.name === name);
  return problem === undefined ? null : describeProblem(problem);
}

describe('L-13 the start is refused', () => {
  for (const name of SECRETS) {
    test(`while ${name} is a placeholder, however it is given`, () => {
      for (const value of PLACEHOLDERS) expect([value, faultOf(name, value)]).toEqual([value, expect.any(String)]);
      expect(faultOf(name, 'env:OTHER', { OTHER: 'changeme' })).toContain(name);
      expect(faultOf(name, 'file:/run/secrets/key')).toContain(name);
    });
  }

  test('for an admin key that anybody finds by trying, with what to do', () => {
    for (const value of ['swarmrouter', 'letmein123', 'abcabcabcabcabcabc', '0000000000000000000000']) {
      expect(faultOf('SWARMROUTER_ADMIN_KEY', value)).toContain('openssl rand -hex 32');
    }
    expect(faultOf('SWARMROUTER_ADMIN_KEY', 'k8Zq-long-and-random')).toBeNull();
  });

  test('for a pepper or master key that nobody made at random', () => {
    for (const name of OURS.slice(1)) {
      for (const value of ['0'.repeat(64), 'ab'.repeat(32), '0123456789abcdef'.repeat(4)]) {
        expect(faultOf(name, value)).toContain('openssl rand -hex 32');
      }
      expect(faultOf(name, Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('hex'))).toBeNull();
    }
  });

  test('with every value of a secret that our own examples and documents show', () => {
    const shown: [string, string][] = [];
    const paths = ['deploy/**/*', 'docs/**/*.md'].flatMap((glob) => [
      ...new Glob(glob).scanSync({ cwd: root, dot: true }),
    ]);
    for (const path of ['.env.example', 'README.md', ...paths]) {
      const text = readFileSync(join(root, path), 'utf8');
      for (const [, name = '', value = ''] of text.matchAll(
        /^\s*(?:#|export |- )?\s*([A-Z_]+_(?:KEY|PEPPER))[=:] *(\S.*)$/gm,
      )) {
        if (SECRETS.includes(name)) shown.push([name, value.trim()]);
      }
    }
    expect(shown.length).toBeGreaterThan(2);
    for (const [name, value] of shown) {
      // A reference, or a command that makes one.
      if (/^(env:|file:|"?\$)/.test(value)) continue;
      expect([name, value, faultOf(name, value)]).toEqual([name, value, expect.any(String)]);
    }
  });
});
