import type { Grant } from './principal.ts';
import type { Secret } from './secret.ts';

/** Whoever has this value in this claim has this role. */
export interface RoleRule {
  readonly claim: string;
  readonly value: string;
  readonly grant: Grant;
}

/** How people log in at an identity provider (OpenID Connect). */
export interface OidcSettings {
  /** As the provider calls itself, to the letter. */
  readonly issuer: string;
  readonly clientId: string;
  /** Null: a client without one; PKCE alone protects it. */
  readonly clientSecret: Secret | null;
  /** Separated by spaces; `openid` is one of them. */
  readonly scopes: string;
  readonly roles: readonly RoleRule[];
  /** The claim that people are called by. */
  readonly nameClaim: string;
}
