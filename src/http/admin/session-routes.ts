import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { isObject } from '../../core/json-shape.ts';
import type { User } from '../../core/people.ts';
import { PERMISSIONS } from '../../core/permissions.ts';
import { mayAtAll } from '../../core/principal.ts';
import { Secret } from '../../core/secret.ts';
import type { RequestOrigin } from '../connection.ts';
import { refuseCrossSite, sessionCookie, setSessionCookie } from './cookies.ts';
import { AdminError } from './error-envelope.ts';
import { grantBody, grantsSchema } from './grant-body.ts';
import { bodyOf, jsonBody } from './json-body.ts';
import { requestOriginOf } from './origin.ts';
import { peopleRefused } from './people-problems.ts';
import { needs } from './permission.ts';
import { type Problem, refuseFor, shown } from './problems.ts';
import { errorReplies, errorSchema, jsonReply } from './schemas.ts';

type LoginResult =
  | { readonly ok: true; readonly text: Secret; readonly user: User; readonly expiresAtMs: number }
  | { readonly ok: false; readonly reason: 'wrong_password' }
  | { readonly ok: false; readonly reason: 'throttled'; readonly waitMs: number };

/** Lets people in and out. */
export interface SessionDesk {
  login(name: string, password: Secret, from: RequestOrigin): Promise<LoginResult>;
  logout(cookie: string, from: RequestOrigin): Promise<boolean>;
}

export interface SessionPorts {
  /** Null: there is no store, and so nobody. */
  readonly sessionsIfAny: () => Promise<SessionDesk | null>;
  /** True: the gateway listens on loopback only. */
  readonly loopback: boolean;
  /** Told of each login that failed. */
  refusedPassword(name: string, reason: 'wrong_password' | 'throttled', from: RequestOrigin): void;
  /** ms since the Unix epoch. */
  readonly wallMs: () => number;
}

const LOGIN_PATH = '/admin/login';
const SESSION_PATH = '/admin/session';

const loginSchema = z.object({ name: z.string().openapi({ example: 'alice' }), password: z.string() }).openapi('Login');
const loggedInSchema = z
  .object({ id: z.string(), name: z.string(), organisation: z.string(), grants: grantsSchema, expires_at: z.string() })
  .openapi('LoggedIn');
const whoSchema = z
  .object({
    kind: z.enum(['admin', 'user', 'token']),
    id: z.string(),
    name: z.string(),
    organisation: z.string(),
    grants: grantsSchema,
    permissions: z.array(z.string()).openapi({ description: 'What they may do, somewhere at least.' }),
  })
  .openapi('Principal');

/** Before anybody is known: this is how people become known. */
export function addLoginRoute(app: OpenAPIHono, ports: SessionPorts): void {
  app.openAPIRegistry.registerPath({
    tags: ['People'],
    method: 'post',
    path: LOGIN_PATH,
    operationId: 'login',
    summary: 'Log in with name and password',
    description:
      'The reply sets a cookie that stands for this login: 7 days, or 12 hours without a request. Ten wrong passwords of one account, or fifty from one address, within 15 minutes are 429.',
    request: { body: { required: true, content: { 'application/json': { schema: loginSchema } } } },
    responses: {
      200: jsonReply('Logged in', loggedInSchema),
      400: errorReplies.badRequest,
      401: jsonReply('Name or password are wrong', errorSchema),
      429: jsonReply('Too many wrong passwords', errorSchema),
      503: jsonReply('Too many logins at once', errorSchema),
    },
  });
  app.post(LOGIN_PATH, ...jsonBody, async (context) => {
    refuseCrossSite(context);
    const { name, password } = readLogin(await bodyOf(context));
    const from = requestOriginOf(context);
    const desk = await ports.sessionsIfAny();
    const wrong = { ok: false, reason: 'wrong_password' } as const;
    const result =
      desk === null ? wrong : await desk.login(name, password, from).catch(peopleRefused('user:read', 'name'));
    if (!result.ok) {
      ports.refusedPassword(name, result.reason, from);
      throw loginRefusal(result);
    }
    // Whoever logs in anew leaves the login before behind.
    const before = sessionCookie(context.req.header('cookie') ?? '', ports.loopback);
    if (before !== null) await desk?.logout(before, from);
    const { user, text, expiresAtMs } = result;
    const maxAgeS = Math.floor((expiresAtMs - ports.wallMs()) / 1_000);
    context.header('set-cookie', setSessionCookie(ports.loopback, text.reveal(), maxAgeS));
    const { id, organisationId, grants } = user;
    return context.json({
      ...{ id, name: user.name, organisation: organisationId, grants: grants.map(grantBody) },
      expires_at: new Date(expiresAtMs).toISOString(),
    });
  });
}

const whoRoute = createRoute({
  tags: ['People'],
  ...needs('self'),
  method: 'get',
  path: SESSION_PATH,
  operationId: 'whoAmI',
  summary: 'Who you are, and what you may do',
  responses: { 200: jsonReply('You', whoSchema), 401: errorReplies.unauthorized },
});

const logoutRoute = createRoute({
  tags: ['People'],
  ...needs('self'),
  method: 'delete',
  path: SESSION_PATH,
  operationId: 'logout',
  summary: 'Log out',
  description: 'The cookie opens nothing any more, at once.',
  responses: {
    200: jsonReply('Logged out', z.object({ logged_out: z.boolean() })),
    401: errorReplies.unauthorized,
  },
});

export function addSessionRoutes(app: OpenAPIHono, { sessionsIfAny, loopback }: SessionPorts): void {
  app.openapi(whoRoute, (context) => {
    const principal = context.get('principal');
    const { kind, id, name, organisationId, grants } = principal;
    const permissions = PERMISSIONS.filter((permission) => mayAtAll(principal, permission));
    return context.json(
      { kind, id, name, organisation: organisationId, grants: grants.map(grantBody), permissions },
      200,
    );
  });
  app.openapi(logoutRoute, async (context) => {
    const cookie = sessionCookie(context.req.header('cookie') ?? '', loopback);
    const desk = await sessionsIfAny();
    const ended = cookie !== null && desk !== null && (await desk.logout(cookie, requestOriginOf(context)));
    context.header('set-cookie', setSessionCookie(loopback, null, 0));
    return context.json({ logged_out: ended }, 200);
  });
}

const MOST_CHARACTERS = 256;

function readLogin(body: unknown): { readonly name: string; readonly password: Secret } {
  const problems: Problem[] = [];
  const { name, password, ...unknown } = isObject(body) ? body : {};
  const isText = (value: unknown): value is string =>
    typeof value === 'string' && value !== '' && value.length <= MOST_CHARACTERS;
  if (!isText(name)) {
    problems.push({ field: 'name', seen: name === undefined ? null : shown(name), allowed: 'the name of a user' });
  }
  if (!isText(password)) {
    // Never what was sent: it may be the password, in another shape.
    const seen = password === undefined ? null : '(not shown)';
    problems.push({ field: 'password', seen, allowed: `text of 1 to ${MOST_CHARACTERS} characters` });
  }
  for (const field of Object.keys(unknown)) {
    problems.push({ field: shown(field), seen: 'not a known field', allowed: 'left out' });
  }
  if (!isText(name) || !isText(password) || problems.length > 0) throw refuseFor(problems, 'invalid_login');
  return { name, password: new Secret(password) };
}

function loginRefusal(result: Extract<LoginResult, { ok: false }>): AdminError {
  if (result.reason === 'wrong_password') {
    return new AdminError(401, 'wrong_password', 'Name or password are wrong, or the user was disabled.');
  }
  const seconds = Math.ceil(result.waitMs / 1_000);
  const message = `Too many logins failed for this account or from this address. Try again in ${seconds} s.`;
  return new AdminError(429, 'too_many_failed_logins', message, { headers: { 'retry-after': String(seconds) } });
}
