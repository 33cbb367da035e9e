import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { isObject } from '../../core/json-shape.ts';
import type { User } from '../../core/people.ts';
import { PERMISSIONS } from '../../core/permissions.ts';
import { mayAtAll, type Principal } from '../../core/principal.ts';
import { Secret } from '../../core/secret.ts';
import type { RequestOrigin } from '../connection.ts';
import { refuseCrossSite, sessionCookie, setSessionCookie } from './cookies.ts';
import { AdminError } from './error-envelope.ts';
import { grantBody, grantsSchema } from './grant-body.ts';
import { orConflict } from './if-match.ts';
import { bodyOf, jsonBody } from './json-body.ts';
import type { OidcPorts } from './oidc-routes.ts';
import { requestOriginOf } from './origin.ts';
import { PASSWORD, readOwnPassword } from './own-password-body.ts';
import { peopleRefused } from './people-problems.ts';
import { needs } from './permission.ts';
import { type Problem, refuseFor, shown } from './problems.ts';
import { errorReplies, errorSchema, jsonReply, storeTakesNothing } from './schemas.ts';
import { type StartPorts, startSession } from './start-session.ts';
import { throttledLogin } from './throttled-login.ts';

type LoginResult =
  | { readonly ok: true; readonly text: Secret; readonly user: User; readonly expiresAtMs: number }
  | { readonly ok: false; readonly reason: 'wrong_password' }
  | { readonly ok: false; readonly reason: 'throttled'; readonly waitMs: number };

/** Lets people in and out. */
export interface SessionDesk {
  login(name: string, password: Secret, from: RequestOrigin): Promise<LoginResult>;
  /** Whose session it was; null: there was none. */
  logout(cookie: string, from: RequestOrigin): Promise<User | null>;
  /** Of whoever has the session; their others end. */
  changePassword(
    cookie: string,
    passwords: { readonly current: Secret; readonly next: Secret },
    from: RequestOrigin,
  ): Promise<PasswordChange>;
}

type PasswordChange =
  | { readonly ok: true; readonly user: User }
  | { readonly ok: false; readonly reason: 'wrong_password' | 'no_password' }
  | { readonly ok: false; readonly reason: 'throttled'; readonly waitMs: number };

export interface SessionPorts extends Pick<OidcPorts, 'oidc'>, Pick<StartPorts, 'sessionBegun'> {
  /** Null: there is no store, and so nobody. */
  readonly sessionsIfAny: () => Promise<SessionDesk | null>;
  /** True: browsers reach the gateway without TLS, over loopback alone. */
  readonly loopback: boolean;
  /** Told of each login that failed. */
  refusedPassword(name: string, reason: 'wrong_password' | 'throttled', from: RequestOrigin): void;
  /** Told of each change of one's own password that failed. */
  refusedPasswordChange(principal: Principal, reason: string, from: RequestOrigin): void;
  /** ms since the Unix epoch. */
  readonly wallMs: () => number;
}

const LOGIN_PATH = '/admin/login';
const SESSION_PATH = '/admin/session';
const PASSWORD_PATH = `${SESSION_PATH}/password`;

const loginSchema = z.object({ name: z.string().openapi({ example: 'alice' }), password: z.string() }).openapi('Login');
const ownPasswordSchema = z
  .object({
    current_password: z.string(),
    new_password: z.string().openapi({ description: `${PASSWORD.least} to ${PASSWORD.most} characters.` }),
  })
  .openapi('OwnPassword');
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
    login_method: z
      .enum(['password', 'oidc'])
      .nullable()
      .openapi({ description: 'How a person logged in; null: it is none.' }),
    permissions: z.array(z.string()).openapi({ description: 'What they may do, somewhere at least.' }),
  })
  .openapi('Principal');

const waysSchema = z
  .object({
    password: z.literal(true),
    oidc: z.object({ issuer: z.string(), url: z.string() }).nullable().openapi({ description: 'Null: there is none.' }),
  })
  .openapi('WaysToLogIn');

/** Before anybody is known: this is how people become known. */
export function addLoginRoute(app: OpenAPIHono, ports: SessionPorts): void {
  app.openAPIRegistry.registerPath({
    tags: ['People'],
    method: 'get',
    path: LOGIN_PATH,
    operationId: 'waysToLogIn',
    summary: 'How people may log in here',
    responses: { 200: jsonReply('The ways there are', waysSchema) },
  });
  app.get(LOGIN_PATH, async (context) => {
    const desk = await ports.oidc();
    const oidc = desk === null ? null : { issuer: desk.issuer, url: `${LOGIN_PATH}/oidc` };
    return context.json({ password: true, oidc });
  });
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
    const { user, expiresAtMs } = result;
    await startSession(context, ports, result);
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
  description:
    'The cookie opens nothing any more, at once. Whoever came from an identity provider is told where to log out there too, if it has such a place.',
  responses: {
    200: jsonReply('Logged out', z.object({ logged_out: z.boolean(), provider_logout_url: z.string().optional() })),
    401: errorReplies.unauthorized,
  },
});

export function addSessionRoutes(app: OpenAPIHono, ports: SessionPorts): void {
  const { sessionsIfAny, loopback } = ports;
  app.openapi(whoRoute, (context) => {
    const principal = context.get('principal');
    const { kind, id, name, organisationId, grants, loginMethod = null } = principal;
    const permissions = PERMISSIONS.filter((permission) => mayAtAll(principal, permission));
    return context.json(
      {
        ...{ kind, id, name, organisation: organisationId, grants: grants.map(grantBody) },
        ...{ login_method: loginMethod, permissions },
      },
      200,
    );
  });
  app.openapi(logoutRoute, async (context) => {
    const cookie = sessionCookie(context.req.header('cookie') ?? '', loopback);
    const desk = await sessionsIfAny();
    const user = cookie === null || desk === null ? null : await desk.logout(cookie, requestOriginOf(context));
    context.header('set-cookie', setSessionCookie(loopback, null, 0));
    const url = user?.identity == null ? null : await (await ports.oidc())?.logoutUrl();
    return context.json({ logged_out: user !== null, ...(url != null && { provider_logout_url: url }) }, 200);
  });
  addPasswordRoute(app, ports);
}

function addPasswordRoute(app: OpenAPIHono, ports: SessionPorts): void {
  app.openAPIRegistry.registerPath({
    tags: ['People'],
    ...needs('self'),
    method: 'post',
    path: PASSWORD_PATH,
    operationId: 'changeOwnPassword',
    summary: 'Change your own password',
    description: 'Your other sessions end; this one goes on. Wrong current passwords count as wrong logins do.',
    request: { body: { required: true, content: { 'application/json': { schema: ownPasswordSchema } } } },
    responses: {
      200: jsonReply('Changed', z.object({ changed: z.literal(true) })),
      400: errorReplies.badRequest,
      401: errorReplies.unauthorized,
      403: jsonReply('The current password is wrong, or you have none', errorSchema),
      412: jsonReply('Somebody else changed you meanwhile; nothing was changed', errorSchema),
      429: jsonReply('Too many wrong passwords', errorSchema),
      503: storeTakesNothing,
    },
  });
  app.post(PASSWORD_PATH, ...jsonBody, async (context) => {
    const principal = context.get('principal');
    const passwords = readOwnPassword(await bodyOf(context));
    const from = requestOriginOf(context);
    // A token that is sent along counts before the cookie.
    const cookie = principal.kind === 'user' ? sessionCookie(context.req.header('cookie') ?? '', ports.loopback) : null;
    const desk = await ports.sessionsIfAny();
    const none = { ok: false, reason: 'no_password' } as const;
    const changing = cookie === null || desk === null ? none : desk.changePassword(cookie, passwords, from);
    const change = await orConflict(
      'user',
      Promise.resolve(changing).catch(peopleRefused('user:read', 'new_password')),
    );
    if (change.ok) return context.json({ changed: true }, 200);
    ports.refusedPasswordChange(principal, change.reason, from);
    throw passwordRefusal(change);
  });
}

function passwordRefusal(change: Extract<PasswordChange, { ok: false }>): AdminError {
  if (change.reason === 'throttled') return throttledLogin(change.waitMs);
  if (change.reason === 'wrong_password') {
    const message = 'The current password is wrong. Nothing was changed.';
    // Not 401: whoever asks is known, and stays so.
    return new AdminError(403, 'wrong_password', message, { param: 'current_password' });
  }
  const message = 'Only people who logged in here with a password have one to change. Nothing was changed.';
  return new AdminError(403, 'no_password', message);
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
  return throttledLogin(result.waitMs);
}
