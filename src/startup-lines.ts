import type { Config } from './config/config.ts';
import { counted } from './core/counted.ts';
import type { TargetView } from './core/target-view.ts';

export interface StartupFacts {
  readonly targets: readonly TargetView[];
  readonly config: Pick<Config, 'hints'>;
  readonly newAdminKeyPath: string | null;
  /** What a request to /v1 must bring along; null: nothing. */
  readonly credentialNeeded: 'client key' | 'admin key' | null;
  readonly url: string;
}

const HEALTH_WORDS = {
  up: 'up',
  warming: 'loading its model',
  down: 'not answering',
  unknown: 'no answer yet',
  absent: 'not found',
};

/** What was found, and what to set next, in a few lines. Pure. */
export function startupLines(facts: StartupFacts): string[] {
  const present = facts.targets.filter((view) => view.health !== 'absent');
  const lines = present.map(targetLine);
  const local = present.filter((view) => view.target.place === 'local');
  if (local.length === 0) {
    const looked = facts.targets.map((view) => `${view.target.id} ${portOf(view.target.baseUrl)}`).join(', ');
    lines.push(`  No local model server was found${looked === '' ? '' : ` (looked for ${looked})`}; still looking.`);
    lines.push('  Next: start the server in LM Studio, or set LMSTUDIO_URL to where it listens.');
  }
  for (const { text, unless } of facts.config.hints) {
    if (!facts.targets.some(({ target }) => target.place === unless)) lines.push(`  Next: ${text}`);
  }
  if (facts.newAdminKeyPath !== null) lines.push(`  Admin key: made now, kept in ${facts.newAdminKeyPath}`);
  lines.push(
    `  Try: curl ${facts.url}/v1/chat/completions${credentialHeader(facts)} -H 'content-type: application/json' -d '{"messages":[{"role":"user","content":"Hello"}]}'`,
  );
  if (facts.credentialNeeded === 'client key')
    lines.push('  A client key is made with: swarmrouter keys create --name …');
  return lines;
}

function credentialHeader({ credentialNeeded }: StartupFacts): string {
  return credentialNeeded === null ? '' : ` -H 'authorization: Bearer <${credentialNeeded}>'`;
}

function targetLine(view: TargetView): string {
  const models = view.snapshot?.models ?? [];
  const loaded = models.filter((model) => model.state === 'loaded' && model.kind === 'chat').map((model) => model.id);
  const parts = [`  ${view.target.id} (${view.target.place}, ${view.target.baseUrl}): ${HEALTH_WORDS[view.health]}`];
  if (view.health === 'up') {
    parts.push(counted(models.length, 'model'));
    if (view.target.place === 'local')
      parts.push(loaded.length === 0 ? 'none loaded' : `loaded: ${loaded.slice(0, 4).join(', ')}`);
  } else if (view.healthReason !== null) parts.push(view.healthReason);
  return parts.join(', ');
}

function portOf(baseUrl: string): string {
  const { port } = new URL(baseUrl);
  return port === '' ? '' : `on ${port}`;
}
