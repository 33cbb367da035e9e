import type { Problem as ReadProblem } from '../../core/problem.ts';
import { AdminError } from './error-envelope.ts';

/** One thing wrong with a request body. */
export interface Problem {
  readonly field: string;
  /** The value as the caller may see it again; never a credential. Null: the field is missing. */
  readonly seen: string | null;
  /** What is allowed, and so the fix: completes the sentence "it should be …". */
  readonly allowed: string;
}

/** All problems in one 400, so that nobody has to fix them one round trip at a time. */
export function refuseFor(problems: readonly Problem[], code = 'invalid_overflow_provider'): AdminError {
  const lines = problems.map(({ field, seen, allowed }) =>
    seen === null ? `${field} is missing: it should be ${allowed}` : `${field} is ${seen}: it should be ${allowed}`,
  );
  const message = problems.length === 1 ? `${lines[0]}.` : `${problems.length} problems. ${lines.join('. ')}.`;
  return new AdminError(400, code, `${message} Nothing was changed.`, {
    param: problems[0]?.field ?? null,
  });
}

/** The same for what the readers of settings found. @param hide a credential of the body, which nothing of this may repeat */
export function refuseForAll(problems: readonly ReadProblem[], code: string, hide: string | null = null): AdminError {
  const lines = problems.map(({ name: field, seen, seenIsJson, message, allowed, fix }) => {
    const is = seen === null ? '' : ` is ${seenIsJson === true ? shownJson(seen, hide) : shown(seen, hide)}`;
    const should = allowed === null ? '' : ` Allowed: ${allowed}.`;
    return `${shownName(field, hide)}${is}: ${message}.${should} Fix: ${fix}.`;
  });
  const count = problems.length === 1 ? '' : `${problems.length} problems. `;
  const param = problems[0] === undefined ? null : shownName(problems[0].name, hide);
  return new AdminError(400, code, `${count}${lines.join(' ')} Nothing was changed.`, { param });
}

/** A field's name is the caller's text too: somebody may have pasted the key there. */
export function shownName(name: string, hide: string | null): string {
  return /^[A-Za-z0-9_.[\] -]{1,64}$/.test(name) ? shown(name, hide).replaceAll('"', '') : shown(name, hide);
}

const MAX_SHOWN = 80;
const LOOKS_LIKE_A_KEY = /(^|[^a-z])(sk|pk|key|token|bearer)[-_ ][\w-]{6,}|[A-Za-z0-9_-]{32,}/i;

/** A value as an error message may repeat it: short, one line, and masked where it may be a credential in the wrong field. */
export function shown(value: unknown, hide: string | null = null): string {
  if (typeof value !== 'string') return shortened(JSON.stringify(value) ?? String(value), hide);
  return shortened(JSON.stringify(withoutUserInfo(value)), hide);
}

function shownJson(json: string, hide: string | null): string {
  return shortened(withoutUserInfo(json), hide);
}

function shortened(text: string, hide: string | null): string {
  if ((hide !== null && hide.length > 3 && text.includes(hide)) || LOOKS_LIKE_A_KEY.test(text)) return '(not shown)';
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

/** `https://name:password@host` → `https://…@host`, and nothing after a question mark. */
function withoutUserInfo(text: string): string {
  return text.replace(/:\/\/[^/@]*@/, '://…@').replace(/\?.*$/s, '?…');
}
