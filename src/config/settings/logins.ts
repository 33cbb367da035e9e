import { issuer, publicOrigin, roleRules, scopes } from '../oidc-kinds.ts';
import { secret, text } from '../setting-kinds.ts';
import { optional, setting } from './setting.ts';

/** How people log in. */
export const LOGINS = {
  publicUrl: optional('SWARMROUTER_PUBLIC_URL', publicOrigin, 'unset: a loopback address, as each request names it', {
    restart: true,
    group: 'Logins',
    doc: 'Where browsers reach the gateway, through a proxy with TLS for instance. Its name may stand in `Host`, and with https the cookies of people are for TLS alone. Logins at an identity provider come back to `/admin/login/oidc/callback` there, which is what is registered at the provider. With SWARMROUTER_OIDC_ISSUER it must be given when the gateway listens on more than loopback.',
    example: 'https://ai.example.com',
  }),
  oidcIssuer: optional('SWARMROUTER_OIDC_ISSUER', issuer, 'unset: people log in with passwords alone', {
    restart: true,
    group: 'Logins',
    doc: 'Identity provider (OpenID Connect) that people log in at. Goes with SWARMROUTER_OIDC_CLIENT_ID and SWARMROUTER_OIDC_ROLES.',
    example: 'https://login.example.com/realms/staff',
  }),
  oidcClientId: optional('SWARMROUTER_OIDC_CLIENT_ID', text('a client id', 'id'), 'unset', {
    restart: true,
    group: 'Logins',
    doc: 'What the gateway is called at the identity provider.',
    example: 'swarmrouter',
  }),
  oidcClientSecret: optional(
    'SWARMROUTER_OIDC_CLIENT_SECRET',
    secret,
    'unset: a client without one, which PKCE protects',
    {
      restart: true,
      group: 'Logins',
      doc: 'Secret of that client.',
    },
  ),
  oidcRoles: optional('SWARMROUTER_OIDC_ROLES', roleRules, 'unset', {
    restart: true,
    group: 'Logins',
    doc: 'Which role a claim gives: `claim:value=role`, or `claim:value=role:project` for one project, several separated by commas. A claim may hold one value or a list; `a.b` is also looked for as `b` in `a`. Whoever gets no role is not let in.',
    example: 'groups:platform=admin,groups:web=member:web',
  }),
  oidcScopes: setting('SWARMROUTER_OIDC_SCOPES', scopes, 'openid profile', {
    restart: true,
    group: 'Logins',
    doc: 'What the gateway asks the identity provider for.',
  }),
  oidcNameClaim: setting('SWARMROUTER_OIDC_NAME_CLAIM', text('the name of a claim', 'claim'), 'preferred_username', {
    restart: true,
    group: 'Logins',
    doc: 'The claim that people are shown by. It says nothing about who they are: that is the issuer and its subject.',
  }),
} as const;
