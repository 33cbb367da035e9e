import { isObject } from '../core/json-shape.ts';
import type { RoleRule } from '../core/oidc.ts';
import type { Grant } from '../core/principal.ts';

/** What an identity provider says of somebody. */
export type Claims = Readonly<Record<string, unknown>>;

const MOST_NAME_CHARACTERS = 100;

/** The roles that somebody's claims give them, each once. None: they may not come in. */
export function grantsOf(rules: readonly RoleRule[], claims: Claims): readonly Grant[] {
  const given = rules.filter(({ claim, value }) => holds(claims, claim, value)).map(({ grant }) => grant);
  return [...new Map(given.map((grant) => [`${grant.role} ${grant.projectId ?? ''}`, grant])).values()];
}

/** What people are shown by, on one line. @param subject in place of a name that is not there */
export function nameOf(claims: Claims, nameClaim: string, subject: string): string {
  const name = claimOf(claims, nameClaim);
  const text = typeof name === 'string' ? name.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '').trim() : '';
  return [...(text === '' ? subject : text)].slice(0, MOST_NAME_CHARACTERS).join('');
}

/** By its own name, else `a.b` as `b` in `a`. Undefined: it is not there. */
export function claimOf(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  if (/^https?:/.test(name)) return undefined;
  return name
    .split('.')
    .reduce<unknown>(
      (within, key) => (isObject(within) && Object.hasOwn(within, key) ? within[key] : undefined),
      claims,
    );
}

/** One value, or one of a list. */
function holds(claims: Claims, name: string, wanted: string): boolean {
  // Whoever may write any address into their account must not get what it gives.
  if (name === 'email' && claims['email_verified'] !== true) return false;
  const value = claimOf(claims, name);
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  return values.some((one) => (typeof one === 'boolean' ? String(one) : one) === wanted);
}
