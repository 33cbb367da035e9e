import { type AdminClient, fieldOf } from './admin-client.ts';
import { EXIT_FAILED, EXIT_OK } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

/** Has the running gateway read its configuration anew. */
export async function reload(client: AdminClient, terminal: Terminal, asJson: boolean): Promise<number> {
  const reply = await client.request('POST', '/admin/reload');
  if (!reply.ok) {
    terminal.error(`swarmrouter: ${reply.message}`);
    return EXIT_FAILED;
  }
  terminal.out(asJson ? JSON.stringify(reply.body, null, 2) : reloadText(reply.body));
  return EXIT_OK;
}

function reloadText(body: unknown): string {
  const targets = fieldOf(body, 'targets');
  const lines = [
    `Configuration ${String(fieldOf(body, 'version'))} is in force.`,
    line('Settings changed', fieldOf(body, 'changed')),
    line('Targets added', fieldOf(targets, 'added')),
    line('Targets changed', fieldOf(targets, 'changed')),
    line('Targets removed', fieldOf(targets, 'removed')),
    line('Only after a restart', fieldOf(body, 'needs_restart')),
  ].filter((text) => text !== '');
  if (lines.length === 1) lines.push('Nothing has changed.');
  return lines.join('\n');
}

function line(label: string, names: unknown): string {
  return Array.isArray(names) && names.length > 0 ? `  ${label}: ${names.join(', ')}` : '';
}
