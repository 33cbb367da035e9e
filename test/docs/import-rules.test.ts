import { afterAll, describe, expect, test } from 'bun:test';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = join(import.meta.dir, '..', '..');
const planted = mkdtempSync(join(tmpdir(), 'swarmrouter-imports-'));
afterAll(() => rmSync(planted, { recursive: true, force: true }));

/** One file for each thing that must not be imported: path → import, and the rule that must catch it. */
const VIOLATIONS: readonly [string, string, string][] = [
  ['src/core/a.ts', '../router/target.ts', 'core-imports-nothing'],
  ['src/config/a.ts', '../router/target.ts', 'config-imports-core-only'],
  ['src/router/a.ts', '../http/target.ts', 'router-imports-core-only'],
  ['src/router/b.ts', 'node:fs', 'router-does-no-io'],
  ['src/http/a.ts', '../adapters/target.ts', 'http-imports-router-and-core'],
  ['src/cli/a.ts', '../router/target.ts', 'cli-imports-main-config-and-core'],
  ['src/discovery/a.ts', '../config/target.ts', 'discovery-imports-adapters-and-core'],
  ['src/entry.ts', './http/target.ts', 'main-imports-gateway-config-and-core'],
  ['src/admission/a.ts', '../accounts.ts', 'only-the-composition-root-imports-itself'],
  ['src/guardrails/a.ts', '../config/target.ts', 'every-folder-of-src-has-a-rule'],
  ['src/adapters/ollama/a.ts', '../lm-studio/target.ts', 'no-vendor-imports-another-vendor'],
  ['src/accounts.ts', './identity/oidc-logins.ts', 'logins-at-a-provider-are-loaded-at-the-first-one'],
  ['src/identity/a.ts', 'openid-client', 'the-library-of-logins-is-loaded-at-the-first-one'],
  ['src/config/b.ts', 'hono', 'hono-has-one-owner'],
  ['src/config/c.ts', 'openai', 'product-uses-known-libraries-only'],
  ['src/http/b.ts', 'node:child_process', 'child-process-in-the-launcher-alone'],
  ['src/http/c.ts', '../../simulators/target.ts', 'product-never-imports-tests-or-tools'],
  ['src/http/d.ts', '../../chaos/target.ts', 'product-never-imports-tests-or-tools'],
];

function plant(path: string, text: string): void {
  mkdirSync(dirname(join(planted, path)), { recursive: true });
  writeFileSync(join(planted, path), text);
}

describe('the import rules', () => {
  test('catch each planted violation', async () => {
    copyFileSync(join(root, 'tsconfig.json'), join(planted, 'tsconfig.json'));
    copyFileSync(join(root, 'package.json'), join(planted, 'package.json'));
    symlinkSync(join(root, 'node_modules'), join(planted, 'node_modules'));
    for (const folder of [
      'src/router',
      'src/http',
      'src/adapters',
      'src/adapters/lm-studio',
      'src/config',
      'simulators',
      'chaos',
    ]) {
      plant(`${folder}/target.ts`, 'export const value = 1;\n');
    }
    plant('src/identity/oidc-logins.ts', 'export const value = 1;\n');
    for (const [path, imported] of VIOLATIONS)
      plant(path, `import * as imported from '${imported}';\nexport default imported;\n`);
    const command = join(root, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruise.mjs');
    const child = Bun.spawn({
      cmd: [
        'node',
        command,
        '--config',
        join(root, '.dependency-cruiser.cjs'),
        '--output-type',
        'json',
        'src',
        'simulators',
      ],
      cwd: planted,
      stdout: 'pipe',
      stderr: 'pipe',
    });
    const { summary } = JSON.parse(await new Response(child.stdout).text()) as {
      summary: { violations: { from: string; rule: { name: string } }[] };
    };
    const caught = new Set(summary.violations.map((violation) => `${violation.from}: ${violation.rule.name}`));
    for (const [path, , rule] of VIOLATIONS) expect([...caught]).toContain(`${path}: ${rule}`);
  }, 60_000);
});
