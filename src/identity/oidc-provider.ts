import type * as OpenIdClient from 'openid-client';
import type { Configuration, CustomFetch, CustomFetchOptions } from 'openid-client';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { OidcSettings } from '../core/oidc.ts';
import type { Vouched } from '../core/people.ts';
import { type Claims, claimOf, grantsOf, nameOf } from './claims.ts';
import type { LoginSecrets } from './login-ticket.ts';
import { OidcFault } from './oidc-fault.ts';
import { faultOf, ProviderSilent } from './what-failed.ts';

/** As `fetch`, but for what may be called, by whom, and how much is read. */
export type ProviderFetch = (url: string, init: CustomFetchOptions) => Promise<Response>;

export interface OidcProviderParts {
  readonly settings: OidcSettings;
  readonly fetch: ProviderFetch;
  readonly clock: Clock;
  readonly logger: Logger;
  /** For each call to the provider. Default: 10 s. */
  readonly timeoutMs?: number;
}

type Library = typeof OpenIdClient;

const TIMEOUT_MS = 10_000;
/** A provider that changes its addresses is followed after so long. */
const RENEW_AFTER_MS = 3_600_000;
/** After the provider could not be asked, ms: until then nobody asks it again. */
const PAUSE_MS = 30_000;
/** How far apart the provider's clock and ours may be, s. */
const CLOCK_TOLERANCE_S = 60;

interface Known {
  readonly configuration: Configuration;
  readonly atMs: number;
}

/**
 * An OpenID Connect provider: code flow with PKCE, state and nonce; the signature of each token is checked against the
 * provider's keys. What it says of itself is kept and renewed; while it does not answer, what is known goes on.
 */
export class OidcProvider {
  readonly #parts: OidcProviderParts;
  #known: Known | null = null;
  #asking: Promise<Configuration> | null = null;
  #failed: { readonly fault: OidcFault; readonly atMs: number } | null = null;

  constructor(parts: OidcProviderParts) {
    this.#parts = parts;
  }

  /** Where the browser goes to log in. Rejects with OidcFault. */
  async loginUrl(redirectUrl: string, { state, nonce, codeVerifier }: LoginSecrets): Promise<URL> {
    const configuration = await this.#configuration();
    const library = await loadLibrary();
    return library.buildAuthorizationUrl(configuration, {
      ...{ redirect_uri: redirectUrl, scope: this.#parts.settings.scopes, state, nonce },
      code_challenge: await library.calculatePKCECodeChallenge(codeVerifier),
      code_challenge_method: 'S256',
    });
  }

  /**
   * Who came back. Rejects with OidcFault.
   * @param answer the redirect URL with what the provider put behind it
   */
  async answered(answer: URL, { state, nonce, codeVerifier }: LoginSecrets): Promise<Vouched> {
    const configuration = await this.#configuration();
    const library = await loadLibrary();
    try {
      const tokens = await library.authorizationCodeGrant(configuration, answer, {
        ...{ expectedState: state, expectedNonce: nonce, pkceCodeVerifier: codeVerifier, idTokenExpected: true },
      });
      const claims = tokens.claims();
      if (claims === undefined) throw new OidcFault('token', 'there is no ID token');
      const more = this.#lacksClaims(claims)
        ? await this.#userInfo(configuration, tokens.access_token, claims.sub)
        : {};
      return this.#vouched(claims.iss, claims.sub, { ...more, ...claims });
    } catch (error) {
      throw faultOf(error);
    }
  }

  /** Where the browser may end its session at the provider; null: it has no such place, or does not answer. */
  async logoutUrl(): Promise<string | null> {
    try {
      const configuration = await this.#configuration();
      if (configuration.serverMetadata().end_session_endpoint === undefined) return null;
      return (await loadLibrary()).buildEndSessionUrl(configuration).href;
    } catch {
      return null;
    }
  }

  #vouched(issuer: string, subject: string, claims: Claims): Vouched {
    const { settings } = this.#parts;
    return {
      identity: { issuer, subject },
      name: nameOf(claims, settings.nameClaim, subject),
      grants: grantsOf(settings.roles, claims),
    };
  }

  /** Some providers put into the token only who it is. */
  #lacksClaims(claims: Claims): boolean {
    const { nameClaim, roles } = this.#parts.settings;
    return [nameClaim, ...roles.map(({ claim }) => claim)].some((name) => claimOf(claims, name) === undefined);
  }

  async #userInfo(configuration: Configuration, accessToken: string, subject: string): Promise<Claims> {
    if (configuration.serverMetadata().userinfo_endpoint === undefined) return {};
    return (await loadLibrary()).fetchUserInfo(configuration, accessToken, subject);
  }

  async #configuration(): Promise<Configuration> {
    const known = this.#known;
    if (known !== null && this.#parts.clock.nowMs() - known.atMs < RENEW_AFTER_MS) return known.configuration;
    try {
      return await this.#ask();
    } catch (error) {
      if (known === null) throw error;
      return known.configuration;
    }
  }

  /** Whoever begins a login need not be known to us: it must cost a provider that is down, and the log, next to nothing. */
  #ask(): Promise<Configuration> {
    const failed = this.#failed;
    const pauseMs = failed === null ? 0 : failed.atMs + PAUSE_MS - this.#parts.clock.nowMs();
    if (failed !== null && pauseMs > 0) return Promise.reject(pausing(failed.fault, pauseMs));
    this.#asking ??= this.#discover()
      .catch((error: unknown) => this.#noteFailure(faultOf(error, 'unavailable')))
      .finally(() => {
        this.#asking = null;
      });
    return this.#asking;
  }

  #noteFailure(fault: OidcFault): never {
    const { clock, logger, settings } = this.#parts;
    this.#failed = { fault, atMs: clock.nowMs() };
    logger.warn({ issuer: settings.issuer, error: fault.message }, DISCOVERY_FAILED);
    throw pausing(fault, PAUSE_MS);
  }

  async #discover(): Promise<Configuration> {
    const library = await loadLibrary();
    const { settings, clock, timeoutMs = TIMEOUT_MS } = this.#parts;
    const issuer = new URL(settings.issuer);
    const client = {
      [library.clockTolerance]: CLOCK_TOLERANCE_S,
      [library.clockSkew]: Math.round((clock.wallMs() - Date.now()) / 1_000),
    };
    const configuration = await library.discovery(issuer, settings.clientId, client, clientAuth(settings, library), {
      timeout: timeoutMs / 1_000,
      [library.customFetch]: this.#fetch,
      execute: [
        library.enableNonRepudiationChecks,
        // The settings allow it on loopback alone.
        ...(issuer.protocol === 'http:' ? [library.allowInsecureRequests] : []),
      ],
    });
    const named = configuration.serverMetadata().issuer;
    if (named !== settings.issuer) {
      const message = `the provider calls itself ${JSON.stringify(named)}: set SWARMROUTER_OIDC_ISSUER to that, to the letter`;
      throw new OidcFault('unavailable', message);
    }
    this.#known = { configuration, atMs: clock.nowMs() };
    this.#failed = null;
    return configuration;
  }

  readonly #fetch: CustomFetch = async (url, init) => {
    let response: Response;
    try {
      response = await this.#parts.fetch(url, init);
    } catch (error) {
      throw new ProviderSilent(`${new URL(url).host} does not answer`, { cause: error });
    }
    if (response.status < 500) return response;
    throw new ProviderSilent(`${new URL(url).host} answers with status ${response.status}`);
  };
}

function pausing({ kind, message, cause }: OidcFault, pauseMs: number): OidcFault {
  return new OidcFault(kind, message, { cause }, pauseMs);
}

const DISCOVERY_FAILED = 'the identity provider could not be asked what it is';

/** In the header where the provider takes it there, which is what the standard starts from; else in the body. */
function clientAuth({ clientSecret }: OidcSettings, library: Library) {
  if (clientSecret === null) return library.None();
  const [basic, post] = [
    library.ClientSecretBasic(clientSecret.reveal()),
    library.ClientSecretPost(clientSecret.reveal()),
  ];
  const isPost = (methods: readonly string[] | undefined): boolean =>
    methods !== undefined && !methods.includes('client_secret_basic') && methods.includes('client_secret_post');
  return ((server, ...rest) =>
    (isPost(server.token_endpoint_auth_methods_supported) ? post : basic)(server, ...rest)) satisfies typeof basic;
}

/** At the first login: nobody else waits for it. */
function loadLibrary(): Promise<Library> {
  return import('openid-client');
}
