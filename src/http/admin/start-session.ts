import type { Context } from 'hono';
import type { Secret } from '../../core/secret.ts';
import type { RequestOrigin } from '../connection.ts';
import { sessionCookie, setSessionCookie } from './cookies.ts';
import { requestOriginOf } from './origin.ts';

export interface StartPorts {
  /** Null: there is no store, and so nobody. */
  readonly sessionsIfAny: () => Promise<{ logout(cookie: string, from: RequestOrigin): Promise<unknown> } | null>;
  /** Told what the cookie of a login that begins now holds. */
  readonly sessionBegun: (cookie: Secret) => void;
  /** True: browsers reach the gateway without TLS, over loopback alone. */
  readonly loopback: boolean;
  /** ms since the Unix epoch. */
  readonly wallMs: () => number;
}

/** Gives the browser the session that was begun. Whoever logs in anew leaves the login before behind. */
export async function startSession(
  context: Context,
  { sessionsIfAny, sessionBegun, loopback, wallMs }: StartPorts,
  { text, expiresAtMs }: { readonly text: Secret; readonly expiresAtMs: number },
): Promise<void> {
  const before = sessionCookie(context.req.header('cookie') ?? '', loopback);
  if (before !== null) await (await sessionsIfAny())?.logout(before, requestOriginOf(context));
  sessionBegun(text);
  const maxAgeS = Math.floor((expiresAtMs - wallMs()) / 1_000);
  context.header('set-cookie', setSessionCookie(loopback, text.reveal(), maxAgeS), { append: true });
}
