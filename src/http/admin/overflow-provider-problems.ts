import { isObject } from '../../core/json-shape.ts';
import { nearestName } from '../../core/nearest-name.ts';
import { fieldsOf } from './overflow-provider-body.ts';
import { type Problem, shown } from './problems.ts';

/** The part of a schema issue that is read here. */
interface SchemaIssue {
  readonly code?: string | undefined;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly keys?: readonly string[];
}

/** Every schema issue of a refused body as a problem that a person can act upon. */
export function problemsOf(issues: readonly SchemaIssue[], body: unknown): Problem[] {
  if (!isObject(body)) {
    return [{ field: 'body', seen: Array.isArray(body) ? 'a list' : shown(body), allowed: 'one JSON object' }];
  }
  const key = typeof body['api_key'] === 'string' ? body['api_key'] : null;
  return issues.flatMap((issue) => {
    const keys = issue.keys;
    if (issue.code === 'unrecognized_keys' && keys !== undefined)
      return keys.map((name) => unknownField(name, body, key));
    return [fieldProblem(issue, body, key)];
  });
}

function unknownField(name: string, body: Readonly<Record<string, unknown>>, key: string | null): Problem {
  const known = fieldsOf(body['type']);
  const nearest = nearestName(name, known);
  return {
    field: printable(name, key),
    seen: 'not a known field',
    allowed: nearest === null ? `one of ${known.join(', ')}` : `"${nearest}", or left out`,
  };
}

function fieldProblem(issue: SchemaIssue, body: Readonly<Record<string, unknown>>, key: string | null): Problem {
  const field = issue.path.map((part) => printable(String(part), key)).join('.') || 'body';
  const value = valueAt(body, issue.path);
  if (value === undefined) return { field, seen: null, allowed: issue.message };
  return { field, seen: issue.path[0] === 'api_key' ? 'not usable' : shown(value, key), allowed: issue.message };
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, part) => (isObject(value) && Object.hasOwn(value, part) ? value[String(part)] : undefined),
    body,
  );
}

/** A field's name is the caller's text too: somebody may have pasted the key there. */
function printable(name: string, key: string | null): string {
  return /^[A-Za-z0-9_.-]{1,64}$/.test(name) ? shown(name, key).replaceAll('"', '') : shown(name, key);
}
