import { type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import type { User, Vouched } from '../../core/people.ts';
import type { Secret } from '../../core/secret.ts';
import type { RequestOrigin } from '../connection.ts';
import { cookieOf, setCookie } from './cookies.ts';
import { AdminError } from './error-envelope.ts';
import { refusalPage } from './login-page/refusal-page.ts';
import { type OidcRefusal, oidcRefusal } from './oidc-refusals.ts';
import { requestOriginOf } from './origin.ts';
import { refuseFor, shown } from './problems.ts';
import { returnPath } from './return-path.ts';
import { errorReplies, errorSchema, jsonReply } from './schemas.ts';
import { startSession } from './start-session.ts';

type LoginEnd =
  | {
      readonly ok: true;
      readonly text: Secret;
      readonly user: User;
      readonly expiresAtMs: number;
      readonly returnTo: string;
    }
  | ({ readonly ok: false } & OidcRefusal);

/** Lets people log in at an identity provider. `begin` rejects with an Error called OidcFault. */
interface OidcDesk {
  readonly issuer: string;
  begin(redirectUrl: string, returnTo: string): Promise<{ url: string; ticket: string; maxAgeS: number }>;
  end(answer: URL, ticket: string | null, from: RequestOrigin): Promise<LoginEnd>;
  logoutUrl(): Promise<string | null>;
}

export interface OidcPorts {
  /** Null: there is none. Loaded when it is first asked for. */
  readonly oidc: () => Promise<OidcDesk> | null;
  /** Where browsers reach the gateway; null: at a loopback name. */
  readonly publicUrl: string | null;
  /** True: browsers reach the gateway without TLS, over loopback alone. */
  readonly loopback: boolean;
  /** Told of each login that failed. @param vouched who it was; null: nobody that the provider vouches for */
  refusedOidc(reason: string, vouched: Vouched | null, from: RequestOrigin): void;
}

const PATH = '/admin/login/oidc';
const CALLBACK_PATH = `${PATH}/callback`;
const LOGIN_PAGE = '/login';

const refused = jsonReply('Refused, as a page where a page is asked for', errorSchema);
const unavailable = jsonReply('The identity provider does not answer', errorSchema);
const notConfigured = jsonReply('There is no identity provider', errorSchema);
const elsewhere = { description: 'Go on there', headers: z.object({ location: z.string() }) };

/** Before anybody is known: this is how people become known. */
export function addOidcRoutes(app: OpenAPIHono, ports: OidcPorts & Parameters<typeof startSession>[1]): void {
  app.openAPIRegistry.registerPath({
    tags: ['People'],
    method: 'get',
    path: PATH,
    operationId: 'beginOidcLogin',
    summary: 'Log in at the identity provider',
    description: 'Sends a browser there. It comes back within ten minutes.',
    request: {
      query: z.object({
        return_to: z
          .string()
          .optional()
          .openapi({ description: 'Where to go after it: a path here.', example: '/docs' }),
      }),
    },
    responses: { 303: elsewhere, 400: errorReplies.badRequest, 404: notConfigured, 503: unavailable },
  });
  app.get(PATH, orPage, async (context) => {
    const desk = await deskOf(ports);
    const asked = context.req.query('return_to');
    const returnTo = asked === undefined ? LOGIN_PAGE : returnPath(asked);
    if (returnTo === null) {
      const problem = { field: 'return_to', seen: shown(asked), allowed: 'a path of this gateway, such as /docs' };
      throw refuseFor([problem], 'invalid_return_to');
    }
    const begun = await desk.begin(redirectUrlOf(context, ports), returnTo).catch((error: unknown) => {
      if (!(error instanceof Error && error.name === 'OidcFault')) throw error;
      ports.refusedOidc('unavailable', null, requestOriginOf(context));
      throw oidcRefusal({ reason: 'unavailable', vouched: null, retryAfterMs: waitOf(error) });
    });
    context.header('set-cookie', setCookie('login', ports.loopback, begun.ticket, begun.maxAgeS));
    return context.redirect(begun.url, 303);
  });

  app.openAPIRegistry.registerPath({
    tags: ['People'],
    method: 'get',
    path: CALLBACK_PATH,
    operationId: 'endOidcLogin',
    summary: 'Where the identity provider sends a browser back to',
    description:
      'Register this address at the provider. What it brings counts once, and in the browser alone that began the login.',
    responses: {
      303: elsewhere,
      400: refused,
      401: refused,
      403: refused,
      404: notConfigured,
      429: refused,
      503: unavailable,
    },
  });
  app.get(CALLBACK_PATH, orPage, async (context) => {
    const desk = await deskOf(ports);
    const answer = new URL(redirectUrlOf(context, ports));
    answer.search = new URL(context.req.url).search;
    const from = requestOriginOf(context);
    const ticket = cookieOf('login', context.req.header('cookie') ?? '', ports.loopback);
    const end = await desk.end(answer, ticket, from);
    if (!end.ok) {
      ports.refusedOidc(end.reason, end.vouched ?? null, from);
      throw oidcRefusal(end);
    }
    await startSession(context, ports, end);
    context.header('set-cookie', setCookie('login', ports.loopback, null, 0), { append: true });
    return context.redirect(end.returnTo, 303);
  });
}

const waitOf = (error: Error): number | null =>
  'retryAfterMs' in error && typeof error.retryAfterMs === 'number' ? error.retryAfterMs : null;

/** People who are in the middle of a login look at a page. */
const orPage: MiddlewareHandler = async (context, next) => {
  await next();
  const { error } = context;
  if (error instanceof AdminError && /\btext\/html\b/i.test(context.req.header('accept') ?? '')) {
    context.res = refusalPage(error);
  }
};

async function deskOf({ oidc }: OidcPorts): Promise<OidcDesk> {
  const desk = await oidc();
  if (desk !== null) return desk;
  const message =
    'Nobody logs in at an identity provider here: SWARMROUTER_OIDC_ISSUER is not set. Use name and password.';
  throw new AdminError(404, 'oidc_not_configured', message);
}

const LOOPBACK_NAME = /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i;

/** What the provider sends browsers back to. Never made of what a request says, but for which loopback name it is. */
function redirectUrlOf(context: Context, { publicUrl }: OidcPorts): string {
  if (publicUrl !== null) return `${publicUrl}${CALLBACK_PATH}`;
  const host = context.req.header('host') ?? '';
  if (LOOPBACK_NAME.test(host)) return `http://${host}${CALLBACK_PATH}`;
  const message = `It is not known where browsers come back to: Host is ${shown(host)}. Open the gateway at localhost, or set SWARMROUTER_PUBLIC_URL.`;
  throw new AdminError(400, 'public_url_unknown', message);
}
