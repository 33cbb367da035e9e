import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type Provider from 'oidc-provider';
import type { Context } from 'oidc-provider';

export const CLIENT = { clientId: 'router', clientSecret: 'secret-of-the-router-0123456789' };

export interface TokenParts {
  header: Record<string, unknown>;
  claims: Record<string, unknown>;
  /** Null: without a signature. */
  key: KeyObject | null;
}

/** A real OpenID Connect provider in this process, whose people log in without being asked for anything. */
export interface IdentityProvider {
  readonly issuer: string;
  /** Subject → claims. */
  readonly people: Map<string, Record<string, unknown>>;
  /** Who sits at the browser. */
  logsIn: string;
  /** Changes ID tokens before they are sent; they are signed anew. Null: they stay as they are. */
  spoilToken: ((parts: TokenParts) => void) | null;
  /** In place of any answer. Null: none. */
  breakDown: ((request: IncomingMessage, response: ServerResponse) => boolean) | null;
  /** Paths that it was asked for. */
  readonly asked: string[];
  /** Once it is known where browsers go back to. */
  register(redirectUrl: string): Promise<void>;
  stop(): Promise<void>;
}

export interface ProviderOptions {
  /** Tokens say only who it is; the rest must be asked for. */
  readonly thinTokens?: boolean;
  readonly authMethod?: 'client_secret_basic' | 'client_secret_post';
}

export const newSigningKey = () => generateKeyPairSync('rsa', { modulusLength: 2048 });

export async function startIdentityProvider(options: ProviderOptions = {}): Promise<IdentityProvider> {
  const { privateKey } = newSigningKey();
  let provider: Provider | null = null;
  const server = createServer((request, response) => {
    idp.asked.push(request.url ?? '');
    if (idp.breakDown?.(request, response) === true) return;
    if (provider === null) response.writeHead(503).end();
    else if (request.url?.startsWith('/interaction/') === true) {
      void provider.interactionFinished(request, response, { login: { accountId: idp.logsIn } });
    } else provider.callback()(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const idp: IdentityProvider = {
    issuer: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    people: new Map(),
    logsIn: '',
    spoilToken: null,
    breakDown: null,
    asked: [],
    async register(redirectUrl) {
      provider = await createProvider(idp, redirectUrl, privateKey, options);
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return idp;
}

async function createProvider(
  idp: IdentityProvider,
  redirectUrl: string,
  privateKey: KeyObject,
  { thinTokens = false, authMethod = 'client_secret_basic' }: ProviderOptions,
): Promise<Provider> {
  const { default: OidcProvider } = await quietly(() => import('oidc-provider'));
  const configuration = {
    clients: [
      {
        ...{ client_id: CLIENT.clientId, client_secret: CLIENT.clientSecret, redirect_uris: [redirectUrl] },
        ...{ token_endpoint_auth_method: authMethod, response_types: ['code'], grant_types: ['authorization_code'] },
      },
    ],
    clientAuthMethods: [authMethod],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'first' }] },
    cookies: { keys: ['of the tests'] },
    claims: { openid: ['sub'], profile: ['preferred_username', 'groups', 'email', 'email_verified', 'realm_access'] },
    conformIdTokenClaims: thinTokens,
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    ttl: { Interaction: 600, Session: 600, Grant: 600, IdToken: 600, AccessToken: 600, AuthorizationCode: 60 },
    findAccount: (_: unknown, id: string) => ({
      accountId: id,
      claims: async () => ({ sub: id, ...idp.people.get(id) }),
    }),
    // Nobody is asked whether they want it.
    loadExistingGrant: async ({ oidc }: Context) => {
      const [clientId = '', accountId = ''] = [oidc?.client?.clientId, oidc?.session?.accountId];
      const grant = new provider.Grant({ clientId, accountId });
      grant.addOIDCScope('openid profile');
      await grant.save();
      return grant;
    },
  };
  const provider = await quietly(async () => new OidcProvider(idp.issuer, configuration));
  provider.use(async (context, next) => {
    await next();
    const body = context.body as { id_token?: string } | null;
    if (context.path !== '/token' || idp.spoilToken === null || body?.id_token === undefined) return;
    context.body = { ...body, id_token: spoilt(body.id_token, privateKey, idp.spoilToken) };
  });
  return provider;
}

function spoilt(token: string, key: KeyObject, change: (parts: TokenParts) => void): string {
  const [header = {}, claims = {}] = token
    .split('.')
    .slice(0, 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()));
  const parts: TokenParts = { header, claims, key };
  change(parts);
  const signed = [parts.header, parts.claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  const signature = parts.key === null ? '' : sign('sha256', Buffer.from(signed), parts.key).toString('base64url');
  return `${signed}.${signature}`;
}

/** What the package says to whoever runs it for real is no part of a test's output. */
async function quietly<Value>(work: () => Promise<Value>): Promise<Value> {
  const { warn, info } = console;
  console.warn = console.info = () => undefined;
  try {
    return await work();
  } finally {
    Object.assign(console, { warn, info });
  }
}
