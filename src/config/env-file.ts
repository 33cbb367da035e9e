import type { Problem } from '../core/problem.ts';

export interface EnvEntry {
  readonly value: string;
  /** Counted from 1. */
  readonly line: number;
}

export interface EnvFile {
  readonly entries: ReadonlyMap<string, EnvEntry>;
  readonly problems: readonly Problem[];
}

// The s flag: U+2028 and the like end no line here, so they may stand in a value.
const ASSIGNMENT = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/s;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\' };

/**
 * Reads `NAME=value` lines: `#` comments, an `export` in front, single quotes (taken literally) and double quotes
 * (with \n \r \t \" \\). Nothing is expanded and no value goes over several lines, so what is seen is what counts.
 * A name given twice: the last one counts, as in a shell.
 */
export function readEnvFile(text: string): EnvFile {
  const entries = new Map<string, EnvEntry>();
  const problems: Problem[] = [];
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
  for (const [index, raw] of lines.entries()) {
    const line = index + 1;
    const trimmed = raw.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const [, name, rest] = ASSIGNMENT.exec(trimmed) ?? [];
    if (name === undefined || rest === undefined) {
      problems.push(
        lineProblem(line, '.env', 'the line is not NAME=value', 'write NAME=value, or start the line with #'),
      );
      continue;
    }
    const value = readValue(rest);
    if (value === null) {
      problems.push(
        lineProblem(line, name, 'the quotes do not fit', 'close the quote and put nothing but a # comment after it'),
      );
      continue;
    }
    entries.set(name, { value, line });
  }
  return { entries, problems };
}

// The text of the line is not shown: it may hold a key.
function lineProblem(line: number, name: string, message: string, fix: string): Problem {
  return { where: `.env line ${line}`, name, seen: null, message, allowed: null, fix };
}

/** null: a quote is left open, or something follows the closing one. */
function readValue(rest: string): string | null {
  const quote = rest[0];
  if (quote !== '"' && quote !== "'") return rest.replace(/(^|\s)#.*$/, '').trim();
  const pattern = quote === '"' ? /^"((?:[^"\\]|\\.)*)"\s*(#.*)?$/s : /^'([^']*)'\s*(#.*)?$/s;
  const inner = pattern.exec(rest)?.[1];
  if (inner === undefined) return null;
  return quote === "'" ? inner : inner.replace(/\\(.)/gs, (whole, letter: string) => ESCAPES[letter] ?? whole);
}
