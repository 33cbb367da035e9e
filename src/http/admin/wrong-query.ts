import type { z } from '@hono/zod-openapi';
import { AdminError } from './error-envelope.ts';

type Query = Readonly<Record<string, string>>;

const MOST_SHOWN = 60;

/**
 * A 400 that names every parameter that is wrong or does not exist.
 * @param allowed What each may be, completing the sentence "it should be …".
 */
export function wrongQuery(
  shape: Readonly<Record<string, z.ZodType>>,
  allowed: Readonly<Record<string, string>>,
  query: Query,
): AdminError {
  const names = Object.keys(shape);
  const seen = Object.entries(query).filter(([name, value]) => !isRight(shape, name, value));
  const wrong = seen.map(([name, value]) => (names.includes(name) ? wrongValue(name, value, allowed) : unknown(name)));
  const missing = names.filter((name) => !Object.hasOwn(query, name) && !isOptional(shape[name]));
  const lines = [...wrong, ...missing.map((name) => `"${name}" is missing: it should be ${allowed[name]}`)];
  const message = `${lines.join('; ')}. Parameters: ${names.join(', ')}.`;
  return new AdminError(400, 'invalid_query', message, { param: seen[0]?.[0] ?? missing[0] ?? null });
}

const unknown = (name: string): string => `there is no parameter "${name.slice(0, MOST_SHOWN)}"`;

function wrongValue(name: string, value: string, allowed: Readonly<Record<string, string>>): string {
  return `"${name}" is ${JSON.stringify(value.slice(0, MOST_SHOWN))}: it should be ${allowed[name]}`;
}

function isRight(shape: Readonly<Record<string, z.ZodType>>, name: string, value: string): boolean {
  return Object.hasOwn(shape, name) && shape[name]?.safeParse(value).success === true;
}

function isOptional(schema: z.ZodType | undefined): boolean {
  return schema?.safeParse(undefined).success === true;
}
