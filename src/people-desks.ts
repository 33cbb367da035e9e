import type { Identities, VouchedLogin } from './admission/identities.ts';
import { LoginThrottle } from './admission/login-throttle.ts';
import type { People } from './admission/people.ts';
import type { Clock } from './core/clock.ts';
import type { Logger } from './core/logger.ts';
import type { OidcSettings } from './core/oidc.ts';
import { Once } from './core/once.ts';
import type { OidcLogins } from './identity/oidc-logins.ts';
import type { ProviderFetch } from './identity/oidc-provider.ts';
import type { Opened } from './open-store.ts';

/** What lets people in whom the identity provider vouches for. */
export type PeopleFromProvider = OidcLogins<
  Extract<VouchedLogin, { ok: true }>,
  Extract<VouchedLogin, { ok: false }>['reason']
>;

export interface PeopleDesksParts {
  /** Null: there is no identity provider. */
  readonly oidc: OidcSettings | null;
  /** For identity providers. */
  readonly fetch: () => Promise<ProviderFetch>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Makes a store where there is none. */
  readonly open: () => Promise<Opened>;
}

/** Who people are and how they come in. Part of the composition root; what it needs is loaded when somebody asks. */
export class PeopleDesks {
  readonly #parts: PeopleDesksParts;
  readonly #throttle: LoginThrottle;
  readonly #oidcLogins: Once<PeopleFromProvider> | null;

  constructor(parts: PeopleDesksParts) {
    this.#parts = parts;
    this.#throttle = new LoginThrottle(parts.clock);
    const { oidc } = parts;
    this.#oidcLogins = oidc === null ? null : new Once(() => this.#openOidcLogins(oidc));
  }

  /** People and machines of the admin API; opens the store. */
  async people(): Promise<People> {
    const [{ store, audit, hash }, { People }, { recordedPeople }] = await Promise.all([
      this.#parts.open(),
      import('./admission/people.ts'),
      import('./stores/recorded-people.ts'),
    ]);
    return new People({
      ...{ store: recordedPeople(store.db, audit), hash, clock: this.#parts.clock, throttle: this.#throttle },
      newId: (kind) => `${kind}_${Bun.randomUUIDv7()}`,
      issuer: this.#parts.oidc?.issuer ?? null,
    });
  }

  /** Logins at the identity provider; null: there is none. */
  oidcLogins(): Promise<PeopleFromProvider> | null {
    return this.#oidcLogins?.get() ?? null;
  }

  async #openOidcLogins(settings: OidcSettings): Promise<PeopleFromProvider> {
    const [{ OidcLogins }, { OidcProvider }, fetch] = await Promise.all([
      import('./identity/oidc-logins.ts'),
      import('./identity/oidc-provider.ts'),
      this.#parts.fetch(),
    ]);
    const { clock, logger } = this.#parts;
    const { issuer } = settings;
    return new OidcLogins({
      ...{ issuer, clock, logger, throttle: this.#throttle },
      provider: new OidcProvider({ settings, fetch, clock, logger }),
      seal: async () => (await this.#parts.open()).hash,
      enter: async (vouched, begunWith, from) => (await this.#identities(issuer)).enter(vouched, begunWith, from),
    });
  }

  async #identities(issuer: string): Promise<Identities> {
    const [{ store, audit }, { Identities }, { recordedPeople }] = await Promise.all([
      this.#parts.open(),
      import('./admission/identities.ts'),
      import('./stores/recorded-people.ts'),
    ]);
    return new Identities({
      ...{ store: recordedPeople(store.db, audit), clock: this.#parts.clock, issuer },
      newId: (kind) => `${kind}_${Bun.randomUUIDv7()}`,
    });
  }
}
