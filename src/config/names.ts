import { nearestName } from '../core/nearest-name.ts';
import type { Problem } from '../core/problem.ts';

/** What a person may call a target or a route. */
export const NAMES = 'lower-case letters, digits, ".", "_" and "-", at most 64, beginning with a letter or digit';

export function isName(text: string): boolean {
  return /^[a-z0-9][a-z0-9._-]{0,63}$/.test(text);
}

/** What is wrong with the name of a strategy; null: there is such a one. */
export function strategyFault(
  name: string,
  strategies: readonly string[],
): Pick<Problem, 'message' | 'allowed' | 'fix'> | null {
  if (strategies.includes(name)) return null;
  const near = nearestName(name, strategies) ?? strategies[0] ?? '';
  return {
    message: 'there is no such strategy',
    allowed: `one of ${strategies.join(', ')}`,
    fix: `did you mean ${near}`,
  };
}
