import type { Context } from 'hono';
import { AdminError } from './error-envelope.ts';

/** What browsers keep for the gateway: `session` a login · `login` one at an identity provider that has not ended. */
type CookieUse = 'session' | 'login';

/**
 * Browsers take a name with this beginning only over TLS, for this host alone, and nobody else can set it. On loopback
 * there is no TLS, and nobody in between.
 */
const nameOf = (use: CookieUse, loopback: boolean): string => `${loopback ? '' : '__Host-'}swarmrouter-${use}`;

/**
 * `Strict`: no page of another site makes a browser send it. What comes back from an identity provider comes from
 * another site's page, so that the other cookie must be `Lax`: it goes along when that page is left for ours.
 */
const SAME_SITE: Readonly<Record<CookieUse, string>> = { session: 'Strict', login: 'Lax' };

/** Null: there is none. */
export function cookieOf(use: CookieUse, cookies: string, loopback: boolean): string | null {
  const wanted = `${nameOf(use, loopback)}=`;
  for (const part of cookies.split(';')) {
    const text = part.trim();
    if (text.startsWith(wanted)) return text.slice(wanted.length);
  }
  return null;
}

/** @param text null: takes it away @param maxAgeS how long it lives */
export function setCookie(use: CookieUse, loopback: boolean, text: string | null, maxAgeS: number): string {
  const secure = loopback ? '' : '; Secure';
  const kept = `SameSite=${SAME_SITE[use]}${secure}; Max-Age=${text === null ? 0 : maxAgeS}`;
  return `${nameOf(use, loopback)}=${text ?? ''}; Path=/; HttpOnly; ${kept}`;
}

export function sessionCookie(cookies: string, loopback: boolean): string | null {
  return cookieOf('session', cookies, loopback);
}

export function setSessionCookie(loopback: boolean, text: string | null, maxAgeS: number): string {
  return setCookie('session', loopback, text, maxAgeS);
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
