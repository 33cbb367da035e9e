import { describe, expect, test } from 'bun:test';
import { systemOrigin } from '../core/audit.ts';
import type { ReloadResult } from '../core/reload.ts';
import type { Config } from './config.ts';
import { loadConfig } from './load.ts';
import { reloadEvent } from './reload-event.ts';

function configOf(environment: Record<string, string>): Config {
  const loaded = loadConfig({ flags: {}, environment, directory: '/w', readFile: () => null });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

const NOTHING = { added: [], removed: [], changed: [], kept: ['lmstudio'] };
const FILE = systemOrigin('file');
const before = configOf({ SWARMROUTER_MAX_RETRIES: '3', OPENROUTER_API_KEY: 'sk-or-canary-1111111111111111' });
const after = configOf({ SWARMROUTER_MAX_RETRIES: '5', OPENROUTER_API_KEY: 'sk-or-canary-2222222222222222' });

describe('a reload on record', () => {
  test('says what each changed setting was and is, keys masked, and which targets changed', () => {
    const result: ReloadResult = {
      ok: true,
      changed: ['SWARMROUTER_MAX_RETRIES', 'OPENROUTER_API_KEY'],
      needRestart: ['SWARMROUTER_PORT'],
      targets: { ...NOTHING, changed: ['openrouter'] },
    };
    const event = reloadEvent(before, after, result, FILE);
    expect(event).toMatchObject({
      origin: { actor: { kind: 'system', id: 'file' }, peerAddress: null },
      action: 'configuration.reload',
      before: { settings: { SWARMROUTER_MAX_RETRIES: '3', OPENROUTER_API_KEY: 'sk-…1111' } },
      after: {
        settings: { SWARMROUTER_MAX_RETRIES: '5', OPENROUTER_API_KEY: 'sk-…2222' },
        needs_restart: ['SWARMROUTER_PORT'],
        targets: { added: [], removed: [], changed: ['openrouter'] },
      },
    });
    expect(JSON.stringify(event)).not.toContain('canary');
  });

  test('says of one that was refused what was wrong, without the value', () => {
    const problem = { where: '.env line 3', name: 'SWARMROUTER_PORT', seen: 'eighty', message: 'it is no port' };
    const result: ReloadResult = { ok: false, problems: [{ ...problem, allowed: null, fix: 'give a number' }] };
    const event = reloadEvent(before, before, result, FILE);
    expect(event).toMatchObject({
      outcome: 'refused',
      after: { problems: [{ where: '.env line 3', name: 'SWARMROUTER_PORT', message: 'it is no port' }] },
    });
    expect(JSON.stringify(event)).not.toContain('eighty');
  });

  test('is there also when nothing changed, if somebody asked for it', () => {
    const same: ReloadResult = { ok: true, changed: [], needRestart: [], targets: NOTHING };
    expect(reloadEvent(before, before, same, FILE)).toBeNull();
    const admin = { actor: { kind: 'admin', id: 'admin-key' }, peerAddress: '::1', requestId: 'r' } as const;
    expect(reloadEvent(before, before, same, admin)).toMatchObject({ origin: admin });
  });

  test('is there when only a target changed: its key is in no setting', () => {
    const result: ReloadResult = { ok: true, changed: [], needRestart: [], targets: { ...NOTHING, changed: ['groq'] } };
    expect(reloadEvent(before, before, result, FILE)).toMatchObject({ after: { targets: { changed: ['groq'] } } });
  });
});
