import type { z } from '@hono/zod-openapi';
import { AdminError } from './error-envelope.ts';

/**
 * Every parameter that is wrong, with what it should be.
 * @param allowed by name; completes the sentence "it should be …"
 */
export function wrongQuery(
  shape: Readonly<Record<string, z.ZodType>>,
  allowed: Readonly<Record<string, string>>,
  query: Readonly<Record<string, string>>,
): AdminError {
  const partOf = (name: string): z.ZodType | null => (Object.hasOwn(shape, name) ? (shape[name] ?? null) : null);
  const wrong = Object.entries(query).filter(([name, value]) => partOf(name)?.safeParse(value).success !== true);
  const lines = wrong.map(([name, value]) =>
    partOf(name) === null
      ? `there is no parameter "${name.slice(0, 60)}"`
      : `"${name}" is ${JSON.stringify(value.slice(0, 60))}: it should be ${allowed[name]}`,
  );
  const message = `${lines.join('; ')}. Parameters: ${Object.keys(shape).join(', ')}.`;
  return new AdminError(400, 'invalid_query', message, { param: wrong[0]?.[0] ?? null });
}
