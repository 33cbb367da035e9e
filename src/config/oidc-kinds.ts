import type { RoleRule } from '../core/oidc.ts';
import { ROLES, type Role } from '../core/permissions.ts';
import { TENANT_ID, TENANT_ID_ALLOWED } from '../core/tenants.ts';
import { type Kind, listOf, type Parsed, text, url } from './setting-kinds.ts';
import { isLoopbackHost } from './urls.ts';

const bad = (reason: string): { readonly ok: false; readonly reason: string } => ({ ok: false, reason });

/** Who sends people here decides what they may do: nobody in between may change it. */
const notSecret = (address: URL): string | null =>
  address.protocol === 'https:' || isLoopbackHost(address.hostname)
    ? null
    : 'it must begin with https://, since others could read and change what is sent; http:// is for loopback alone';

/** Kept to the letter: that is how a provider's tokens name it, with or without a slash at its end. */
export const issuer: Kind<string> = {
  ...url,
  type: 'https url',
  allowed:
    'the issuer of an OpenID Connect provider, as its discovery document writes it: an https:// URL without user name, query and fragment (http:// on loopback)',
  parse: (value) => {
    const checked = url.parse(value);
    if (!checked.ok) return checked;
    const fault = notSecret(new URL(value));
    if (fault !== null) return bad(fault);
    if (/\/\.well-known\//.test(value)) return bad('it must be the issuer alone, without /.well-known/…');
    return { ok: true, value };
  },
};

/** Scheme, host and port, without a path. */
export const publicOrigin: Kind<string> = {
  ...url,
  type: 'https url',
  allowed: 'scheme, host and port such as https://ai.example.com (http:// on loopback)',
  parse: (value) => {
    const checked = url.parse(value);
    if (!checked.ok) return checked;
    const address = new URL(checked.value);
    if (address.pathname !== '/') return bad('it must have no path');
    const fault = notSecret(address);
    return fault === null ? { ok: true, value: address.origin } : bad(fault);
  },
};

export const scopes: Kind<string> = {
  ...text('scopes separated by spaces, `openid` among them', 'scopes'),
  type: 'scopes',
  parse: (value) => {
    const names = value.split(/\s+/).filter((name) => name !== '');
    // What RFC 6749 allows in a scope.
    if (!names.every((name) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(name))) return bad('it holds more than scopes');
    return names.includes('openid') ? { ok: true, value: names.join(' ') } : bad('`openid` is not among them');
  },
};

const ROLE_RULE_ALLOWED = `claim:value=role or claim:value=role:project, the role one of ${ROLES.join(', ')}`;

const roleRule: Kind<RoleRule> = {
  type: 'role',
  allowed: ROLE_RULE_ALLOWED,
  placeholder: 'claim:value=role',
  unit: null,
  parse: readRoleRule,
  show: ({ claim, value, grant: { role, projectId } }) =>
    `${claim}:${value}=${role}${projectId === null ? '' : `:${projectId}`}`,
  showSeen: (text) => text,
};

/** The claim ends at the first colon, or at the last one where it is a URL, as some providers want their own claims named. */
function readRoleRule(text: string): Parsed<RoleRule> {
  const equals = text.lastIndexOf('=');
  if (equals === -1) return bad('it has no "="');
  const [held, given] = [text.slice(0, equals).trim(), text.slice(equals + 1).trim()];
  const colon = /^https?:\/\//.test(held) ? held.lastIndexOf(':') : held.indexOf(':');
  const [claim, value] = [held.slice(0, Math.max(0, colon)), held.slice(colon + 1)];
  if (claim === '' || value === '' || /^https?$/.test(claim)) return bad('it names no claim and value before the "="');
  const [role = '', ...rest] = given.split(':');
  if (!(ROLES as readonly string[]).includes(role)) return bad(`there is no role ${JSON.stringify(role)}`);
  const projectId = rest.length === 0 ? null : rest.join(':');
  if (projectId !== null && !TENANT_ID.test(projectId)) return bad(`a project's id is ${TENANT_ID_ALLOWED}`);
  return { ok: true, value: { claim, value, grant: { role: role as Role, projectId } } };
}

export const roleRules: Kind<readonly RoleRule[]> = listOf(
  roleRule,
  'role list',
  `${ROLE_RULE_ALLOWED}; several separated by commas`,
);
