import type { AuditOrigin } from '../core/audit.ts';
import type { Vouched } from '../core/people.ts';
import type { Principal } from '../core/principal.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InferenceRequest } from '../core/request.ts';
import type { KeyFault } from './key-guard.ts';
import type { RefusalEvent } from './recorded-refusals.ts';

/** Where what was refused came from. */
export type RefusalFrom = Omit<AuditOrigin, 'actor'>;

/** Characters of a model's name, which a client may invent. */
const MOST_SHOWN = 200;

/** A credential on `/admin` that is not the admin key. */
export function refusedLogin(from: RefusalFrom): RefusalEvent {
  const origin = { actor: { kind: 'anyone', id: null }, ...from } as const;
  return { action: 'admin.login', subject: 'admin', origin, reason: null };
}

/** A login that failed. @param name as it was sent, which may be anything */
export function refusedPassword(name: string, reason: string, from: RefusalFrom): RefusalEvent {
  const origin = { actor: { kind: 'anyone', id: null }, ...from } as const;
  return { action: 'session.login', subject: `login:${name.slice(0, MOST_SHOWN)}`, origin, reason };
}

/** A login at the identity provider that failed. @param vouched who it was; null: nobody that the provider vouches for */
export function refusedOidc(reason: string, vouched: Vouched | null, from: RefusalFrom): RefusalEvent {
  const origin = { actor: { kind: 'anyone', id: null }, ...from } as const;
  const details = { method: 'oidc', ...vouched?.identity };
  const subject = vouched === null ? 'login:oidc' : `login:${vouched.name.slice(0, MOST_SHOWN)}`;
  return { action: 'session.login', subject, origin, reason, details };
}

/** A change of one's own password that failed. */
export function refusedPasswordChange(
  { kind, id, organisationId }: Principal,
  reason: string,
  from: RefusalFrom,
): RefusalEvent {
  const origin = { actor: { kind, id }, ...from } as const;
  return { action: 'user.update', subject: `${kind}:${id}`, origin, reason, organisationId };
}

/** What a person or machine of the admin API asked for and may not do. @param permission the one that is missing */
export function refusedPermission(
  { kind, id, organisationId }: Principal,
  permission: string,
  from: RefusalFrom,
): RefusalEvent {
  const origin = { actor: { kind, id }, ...from } as const;
  return {
    action: 'permission.refuse',
    subject: `permission:${permission}`,
    origin,
    reason: permission,
    organisationId,
  };
}

/** A credential that opens nothing. @param keyId null: it never was a client key */
export function refusedKey(fault: KeyFault, keyId: string | null, from: RefusalFrom): RefusalEvent {
  const kind = keyId === null ? 'anyone' : 'key';
  const origin = { actor: { kind, id: keyId }, ...from } as const;
  return { action: 'key.use', subject: `key:${keyId ?? 'unknown'}`, origin, reason: fault };
}

/** A request that its key does not allow. */
export function refusedRequest(
  { caller, requestedModel }: InferenceRequest,
  { code, param }: Pick<Refusal, 'code' | 'param'>,
  from: RefusalFrom,
): RefusalEvent {
  const kind = caller.keyId === null ? 'anyone' : 'key';
  return {
    action: 'policy.refuse',
    subject: `key:${caller.keyId ?? 'unknown'}`,
    origin: { actor: { kind, id: caller.keyId }, ...from },
    reason: code,
    organisationId: caller.organisationId,
    details: { model: requestedModel.slice(0, MOST_SHOWN), ...(param === null ? {} : { param }) },
  };
}
