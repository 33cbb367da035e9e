import { isObject } from '../../core/json-shape.ts';
import { Secret } from '../../core/secret.ts';
import { unknownField } from './budget-body.ts';
import { type Problem, refuseFor, shown } from './problems.ts';

/** Characters of a password. */
export const PASSWORD = { least: 12, most: 256 };

const FIELDS = ['current_password', 'new_password'];

/** Pure. @throws AdminError with every problem at once, and never with what was sent as a password */
export function readOwnPassword(body: unknown): { readonly current: Secret; readonly next: Secret } {
  if (!isObject(body)) {
    throw refuseFor([{ field: 'body', seen: shown(body), allowed: 'one JSON object' }], 'invalid_password');
  }
  const problems: Problem[] = [];
  for (const field of Object.keys(body)) if (!FIELDS.includes(field)) problems.push(unknownField(field, FIELDS));
  const current = readText(body, 'current_password', 1, problems);
  const next = readText(body, 'new_password', PASSWORD.least, problems);
  if (next !== '' && next === current) {
    problems.push({ field: 'new_password', seen: '(not shown)', allowed: 'another one than the current one' });
  }
  if (problems.length > 0) throw refuseFor(problems, 'invalid_password');
  return { current: new Secret(current), next: new Secret(next) };
}

function readText(body: Record<string, unknown>, field: string, least: number, problems: Problem[]): string {
  const text = body[field];
  if (typeof text === 'string' && text.length >= least && text.length <= PASSWORD.most) return text;
  const seen = text === undefined ? null : '(not shown)';
  problems.push({ field, seen, allowed: `${least} to ${PASSWORD.most} characters` });
  return '';
}
