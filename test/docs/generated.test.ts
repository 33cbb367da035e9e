import { describe, expect, test } from 'bun:test';
import { generatedFiles } from '../../scripts/generate-docs.ts';
import { loadConfig } from '../../src/config/load.ts';
import { SETTING_LIST } from '../../src/config/schema.ts';
import { codeBlocks, readText } from './documents.ts';

const load = (files: Record<string, string>, environment: Record<string, string> = {}) =>
  loadConfig({ flags: {}, environment, directory: '/w', readFile: (path) => files[path.slice('/w/'.length)] ?? null });

describe('the generated documents', () => {
  test.each(generatedFiles().map((file) => [file.path, file] as const))('%s says what the code says', (path, file) => {
    expect(readText(path)).toBe(file.text);
    expect(file.upToDate).toBe(true);
  });

  test('.env.example loads unedited and changes nothing', () => {
    const [bare, example] = [load({}), load({ '.env': readText('.env.example') })];
    expect(example.ok).toBe(true);
    expect(example.ok && bare.ok ? example.config.settings : null).toEqual(bare.ok ? bare.config.settings : []);
  });

  test('every line of .env.example that has a value is a good one when it is uncommented', () => {
    const lines = readText('.env.example').match(/^#[A-Z_]+=.+$/gm) ?? [];
    expect(lines.length).toBeGreaterThan(SETTING_LIST.length / 2);
    const needed = { OPENROUTER_API_KEY: 'sk-or-v1-0123456789', AZURE_API_KEY: 'azure-0123456789' };
    const text = lines.map((line) => line.slice(1)).join('\n');
    const result = load({ '.env': text, 'swarmrouter.yaml': '' }, needed);
    expect(result.ok ? [] : result.problems).toEqual([]);
  });

  test('every setting is on the settings page and in .env.example', () => {
    for (const [, { name }] of SETTING_LIST) {
      expect(readText('docs/reference/settings.md')).toContain(`| \`${name}\`<br>`);
      expect(readText('.env.example')).toContain(`#${name}=`);
    }
  });

  test('the swarmrouter.yaml of the settings page loads', () => {
    const yaml =
      codeBlocks(readText('docs/reference/settings.md')).find((block) => block.language === 'yaml')?.text ?? '';
    const result = load({ 'swarmrouter.yaml': yaml }, { GROQ_API_KEY: 'gsk_0123456789' });
    if (!result.ok) throw new Error(JSON.stringify(result.problems, null, 2));
    expect(result.config.targets.map((target) => target.id)).toEqual(['lmstudio', 'gpu-box', 'den', 'groq']);
  });
});
