import type { Context } from 'hono';
import { AdminError } from './error-envelope.ts';

/** Browsers take a name with this beginning only over TLS, for this host alone, and nobody else can set it. */
const SECURE_NAME = '__Host-swarmrouter-session';
/** On loopback there is no TLS, and nobody in between. */
const LOOPBACK_NAME = 'swarmrouter-session';

/** Null: there is none. */
export function sessionCookie(cookies: string, loopback: boolean): string | null {
  const wanted = `${loopback ? LOOPBACK_NAME : SECURE_NAME}=`;
  for (const part of cookies.split(';')) {
    const text = part.trim();
    if (text.startsWith(wanted)) return text.slice(wanted.length);
  }
  return null;
}

/** @param text null: takes it away @param maxAgeS how long it lives */
export function setSessionCookie(loopback: boolean, text: string | null, maxAgeS: number): string {
  const name = loopback ? LOOPBACK_NAME : SECURE_NAME;
  const secure = loopback ? '' : '; Secure';
  return `${name}=${text ?? ''}; Path=/; HttpOnly; SameSite=Strict${secure}; Max-Age=${text === null ? 0 : maxAgeS}`;
}

/**
 * What a browser sends by itself must not work for a foreign page: `Sec-Fetch-Site` and `Origin` say whose page asked.
 * Programs send neither.
 * @throws AdminError 403
 */
export function refuseCrossSite(context: Context): void {
  const site = context.req.header('sec-fetch-site');
  const origin = context.req.header('origin');
  const isOwn = origin === undefined || hostOf(origin) === context.req.header('host');
  if ((site === undefined || site === 'same-origin' || site === 'none') && isOwn) return;
  const message = 'A page of another site asked for this with your session. Open the page from the gateway itself.';
  throw new AdminError(403, 'cross_site_request', message);
}

function hostOf(origin: string): string | null {
  try {
    return new URL(origin).host;
  } catch {
    return null;
  }
}
