import type { AuditOrigin } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { Vouched } from '../core/people.ts';
import { LOGIN_MS, newTicket, readTicket, type Seal, secretsOf, writeTicket } from './login-ticket.ts';
import { OidcFault, type OidcFaultKind } from './oidc-fault.ts';
import type { OidcProvider } from './oidc-provider.ts';

type From = Omit<AuditOrigin, 'actor'>;

/** Bounds what strangers can have the provider asked. */
export interface LoginThrottlePort {
  waitMs(account: null, address: string | null): number;
  begin(account: null, address: string | null): void;
  succeed(account: null, address: string | null): void;
}

export interface OidcLoginsParts<Entered, Refused extends string> {
  readonly issuer: string;
  readonly provider: Pick<OidcProvider, 'loginUrl' | 'answered' | 'logoutUrl'>;
  /** Opens the store where it is needed. */
  readonly seal: () => Promise<Seal>;
  readonly enter: (
    vouched: Vouched,
    begunWith: string,
    from: From,
  ) => Promise<(Entered & { readonly ok: true }) | { readonly ok: false; readonly reason: Refused }>;
  readonly throttle: LoginThrottlePort;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly logger: Logger;
}

export interface BegunLogin {
  /** At the provider. */
  readonly url: string;
  /** For a cookie of the browser that began it. */
  readonly ticket: string;
  readonly maxAgeS: number;
}

export type OidcLoginResult<Entered, Refused extends string> =
  | (Entered & { readonly ok: true; readonly returnTo: string })
  | {
      readonly ok: false;
      readonly reason: Refused | OidcFaultKind | 'no_ticket';
      /** Who it was, where that is known; null: nobody that the provider vouches for. */
      readonly vouched: Vouched | null;
      /** `unavailable`: the provider is not asked again before, ms. Null or left out: it may be asked at once. */
      readonly retryAfterMs?: number | null;
    }
  | { readonly ok: false; readonly reason: 'throttled'; readonly waitMs: number };

/** Logins at an identity provider, from the browser's leaving to its return. Keeps nothing of those that did not end. */
export class OidcLogins<Entered, Refused extends string> {
  readonly #parts: OidcLoginsParts<Entered, Refused>;

  constructor(parts: OidcLoginsParts<Entered, Refused>) {
    this.#parts = parts;
  }

  get issuer(): string {
    return this.#parts.issuer;
  }

  /** Rejects with OidcFault. @param returnTo a path that `returnPath` gave */
  async begin(redirectUrl: string, returnTo: string): Promise<BegunLogin> {
    const { provider, seal, clock } = this.#parts;
    const ticket = newTicket(clock.wallMs(), returnTo);
    const url = await provider.loginUrl(redirectUrl, secretsOf(ticket));
    return { url: url.href, ticket: writeTicket(ticket, await seal()), maxAgeS: LOGIN_MS / 1_000 };
  }

  /**
   * @param answer the redirect URL with what the provider put behind it
   * @param text the cookie; null: there is none
   */
  async end(answer: URL, text: string | null, from: From): Promise<OidcLoginResult<Entered, Refused>> {
    const { seal, throttle, clock, logger } = this.#parts;
    const waitMs = throttle.waitMs(null, from.peerAddress);
    if (waitMs > 0) return { ok: false, reason: 'throttled', waitMs };
    const ticket = text === null ? null : readTicket(text, clock.wallMs(), await seal());
    if (ticket === null) return { ok: false, reason: 'no_ticket', vouched: null };
    throttle.begin(null, from.peerAddress);
    try {
      const vouched = await this.#parts.provider.answered(answer, secretsOf(ticket));
      const entered = await this.#parts.enter(vouched, ticket.secret, from);
      if (!entered.ok) return { ok: false, reason: entered.reason, vouched };
      throttle.succeed(null, from.peerAddress);
      return { ...entered, returnTo: ticket.returnTo };
    } catch (error) {
      if (!(error instanceof OidcFault)) throw error;
      const { kind, message, retryAfterMs } = error;
      logger.warn({ issuer: this.issuer, reason: kind, error: message, ...from }, 'a login came to nothing');
      // An outage must not shut people out who try again.
      if (kind === 'unavailable') throttle.succeed(null, from.peerAddress);
      return { ok: false, reason: kind, vouched: null, retryAfterMs };
    }
  }

  /** Where to end the session at the provider too; null: nowhere. */
  logoutUrl(): Promise<string | null> {
    return this.#parts.provider.logoutUrl();
  }
}
