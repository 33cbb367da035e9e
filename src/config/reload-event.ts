import type { AuditEvent, AuditOrigin } from '../core/audit.ts';
import type { ReloadResult } from '../core/reload.ts';
import type { Config } from './config.ts';

/**
 * What of a reload goes on record; null: it changed nothing, and nobody had asked for it. Pure.
 * @param before the one that was in force · @param after the one that is
 */
export function reloadEvent(
  before: Config,
  after: Config,
  result: ReloadResult,
  origin: AuditOrigin,
): AuditEvent | null {
  const event = { origin, action: 'configuration.reload', subject: 'configuration' } as const;
  if (!result.ok) {
    const problems = result.problems.map(({ where, name, message }) => ({ where, name, message }));
    return { ...event, before: null, after: { problems }, outcome: 'refused' };
  }
  const { changed, needRestart, targets } = result;
  const { added, removed, changed: altered } = targets;
  const isSame = changed.length + added.length + removed.length + altered.length === 0;
  if (isSame && origin.actor.kind === 'system') return null;
  return {
    ...event,
    before: { settings: settingsOf(before, changed) },
    after: {
      settings: settingsOf(after, changed),
      changed,
      needs_restart: needRestart,
      targets: { added, removed, changed: altered },
    },
  };
}

/** Values as people see them: secrets are masked in them. */
function settingsOf(config: Config, names: readonly string[]): Record<string, string> {
  const named = config.settings.filter(({ name }) => names.includes(name));
  return Object.fromEntries(named.map(({ name, value }) => [name, value]));
}
