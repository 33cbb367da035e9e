import type { Problem } from '../core/problem.ts';
import { type AdminClient, fieldOf } from './admin-client.ts';
import { EXIT_FAILED, EXIT_OK, EXIT_WRONG_USE } from './exit-codes.ts';
import { problemsText } from './print-problems.ts';
import type { Terminal } from './terminal.ts';

/** Has the running gateway read its configuration anew. */
export async function reload(client: AdminClient, terminal: Terminal, asJson: boolean): Promise<number> {
  const reply = await client.request('POST', '/admin/reload');
  if (reply.ok) {
    terminal.out(asJson ? JSON.stringify(reply.body, null, 2) : reloadText(reply.body));
    return EXIT_OK;
  }
  const problems = problemsOf(reply.body);
  if (problems.length === 0) {
    terminal.error(`swarmrouter: ${reply.message}`);
    return EXIT_FAILED;
  }
  if (asJson) terminal.out(JSON.stringify(reply.body, null, 2));
  else terminal.error(`${problemsText(problems)}\n\nThe old configuration stays in force.`);
  return EXIT_WRONG_USE;
}

function reloadText(body: unknown): string {
  const targets = fieldOf(body, 'targets');
  const lines = [
    line('Settings changed', fieldOf(body, 'changed')),
    line('Targets added', fieldOf(targets, 'added')),
    line('Targets changed', fieldOf(targets, 'changed')),
    line('Targets removed', fieldOf(targets, 'removed')),
  ].filter((text) => text !== '');
  return [
    `Configuration ${String(fieldOf(body, 'version'))} is in force.`,
    ...(lines.length === 0 ? ['Nothing has changed.'] : lines),
    line('Only after a restart', fieldOf(body, 'needs_restart')),
  ]
    .filter((text) => text !== '')
    .join('\n');
}

function line(label: string, names: unknown): string {
  return Array.isArray(names) && names.length > 0 ? `  ${label}: ${names.join(', ')}` : '';
}

/** Empty when the reply is of another kind, or of a gateway that words it otherwise. */
function problemsOf(body: unknown): Problem[] {
  const problems = fieldOf(body, 'problems');
  return Array.isArray(problems) ? problems.map(problemOf) : [];
}

function problemOf(problem: unknown): Problem {
  const text = (field: string): string | null => {
    const value = fieldOf(problem, field);
    return typeof value === 'string' ? value : null;
  };
  const sure = (field: string): string => text(field) ?? '-';
  return {
    where: sure('where'),
    name: sure('name'),
    seen: text('seen'),
    message: sure('message'),
    allowed: text('allowed'),
    fix: sure('fix'),
  };
}
