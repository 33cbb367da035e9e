import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** What a login is begun with, and its answer must fit. Each is a secret of one browser until it is sent. */
export interface LoginSecrets {
  readonly state: string;
  readonly nonce: string;
  /** PKCE's. */
  readonly codeVerifier: string;
}

/** A login that was begun and has not ended; the browser holds it as a cookie. */
export interface LoginTicket {
  /** Random; everything else of the login is derived from it. */
  readonly secret: string;
  /** ms since the Unix epoch. */
  readonly begunAtMs: number;
  /** Path here, checked. */
  readonly returnTo: string;
}

/** Keyed hash of a text, with a key of this installation. */
export type Seal = (text: string) => string;

/** How long people may take at the provider. */
export const LOGIN_MS = 10 * 60_000;
/** Gateways on one store need not have quite the same time. */
const CLOCK_SKEW_MS = 60_000;
const SECRET_BYTES = 32;

export function newTicket(begunAtMs: number, returnTo: string): LoginTicket {
  return { secret: randomBytes(SECRET_BYTES).toString('base64url'), begunAtMs, returnTo };
}

/** Different texts that say nothing of each other, nor of the secret: state goes through the browser's history, the verifier must not. */
export function secretsOf({ secret }: LoginTicket): LoginSecrets {
  const derived = (use: string): string => createHmac('sha256', secret).update(use).digest('base64url');
  return { state: derived('state'), nonce: derived('nonce'), codeVerifier: derived('code verifier') };
}

/** Sealed, so that nobody can make one, change where it leads or lengthen its time. */
export function writeTicket({ secret, begunAtMs, returnTo }: LoginTicket, seal: Seal): string {
  const body = [secret, begunAtMs.toString(36), Buffer.from(returnTo).toString('base64url')].join('.');
  return `${body}.${sealOf(body, seal)}`;
}

/** Null: it was not written here, or is too old. */
export function readTicket(text: string, nowMs: number, seal: Seal): LoginTicket | null {
  const at = text.lastIndexOf('.');
  const [body, mac] = [text.slice(0, Math.max(0, at)), Buffer.from(text.slice(at + 1))];
  const expected = Buffer.from(sealOf(body, seal));
  if (mac.length !== expected.length || !timingSafeEqual(mac, expected)) return null;
  const [secret = '', begun = '', path = ''] = body.split('.');
  const begunAtMs = Number.parseInt(begun, 36);
  const ageMs = nowMs - begunAtMs;
  if (!(ageMs >= -CLOCK_SKEW_MS && ageMs < LOGIN_MS)) return null;
  return { secret, begunAtMs, returnTo: Buffer.from(path, 'base64url').toString() };
}

/** The words before it keep it apart from all else that is hashed with this key. */
const sealOf = (body: string, seal: Seal): string => seal(`login ticket: ${body}`);
