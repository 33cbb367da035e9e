import { safeJsonLine } from './line-safety.ts';

/**
 * One line of the JSON log with its line feed: `level`, `time`, the fields and last `msg`. A `Secret` shows as
 * `[secret]`, an `Error` in the field `error` with its type, message, stack and causes.
 */
export function jsonLine(level: string, wallMs: number, fields: object, message: string): string {
  const body = fieldsText(fields);
  const separator = body.length > 2 ? ',' : '';
  return safeJsonLine(
    `{"level":"${level}","time":"${isoTime(wallMs)}"${separator}${body.slice(1, -1)},"msg":${JSON.stringify(message)}}\n`,
  );
}

let cachedMs = Number.NaN;
let cachedText = '';

/** A busy gateway writes several lines a millisecond, and formatting a date costs as much as the rest of the line. */
function isoTime(wallMs: number): string {
  if (wallMs !== cachedMs) {
    cachedText = new Date(wallMs).toISOString();
    cachedMs = wallMs;
  }
  return cachedText;
}

function fieldsText(fields: object): string {
  const shown =
    'error' in fields && fields.error instanceof Error ? { ...fields, error: errorFields(fields.error) } : fields;
  try {
    return JSON.stringify(shown);
  } catch {
    return JSON.stringify(Object.fromEntries(Object.entries(shown).map(([name, value]) => [name, presentable(value)])));
  }
}

/** A value that JSON cannot hold (it contains itself, or a bigint) costs itself only, not the line. */
function presentable(value: unknown): unknown {
  try {
    JSON.stringify(value);
    return value;
  } catch {
    return typeof value === 'bigint' ? value.toString() : '[not shown]';
  }
}

/** Causes beyond this depth are left out; a chain that closes on itself ends here too. */
const MAX_CAUSES = 5;

function errorFields(error: Error, depth = 0): Record<string, unknown> {
  const { cause } = error;
  return {
    type: error.name,
    message: error.message,
    stack: error.stack,
    code: 'code' in error ? error.code : undefined,
    cause: cause instanceof Error && depth < MAX_CAUSES ? errorFields(cause, depth + 1) : undefined,
  };
}
