import type { BudgetUnit, BudgetWindow } from './budget.ts';
import type { Limits } from './limits.ts';
import type { Place } from './target.ts';

/** How much may be spent in a window, in money or in tokens. What was spent is the ledger's. */
export interface BudgetLimit {
  readonly unit: BudgetUnit;
  /** In nano-USD or tokens; whole, ≥ 0, below 2^53: at most 9 million US dollars. */
  readonly limit: number;
  readonly window: BudgetWindow;
  /** True: what would go over it is refused before it is sent upstream. False: it only warns. */
  readonly hard: boolean;
}

/** What a key may be used for. Null: anything. An empty list: nothing. */
export interface KeyPolicies {
  /** Model names without regard to case; one that ends in `*` stands for all that begin so, `*` for all. */
  readonly models: readonly string[] | null;
  readonly places: readonly Place[] | null;
  /** Names of routes. */
  readonly routes: readonly string[] | null;
}

export const ANYTHING: KeyPolicies = { models: null, places: null, routes: null };

/** One text that opens the door as this key. A key that is being rotated has two. The text itself is nowhere. */
export interface KeyVersion {
  /** HMAC-SHA-256 of the text, hexadecimal, lower case. */
  readonly hash: string;
  /** How the text begins, enough for people to tell keys apart: `wgl_live_Ab3d`. */
  readonly prefix: string;
  /** How it ends, for the same. */
  readonly lastFour: string;
  /** Milliseconds since the Unix epoch, as all dates of a key. */
  readonly createdAtMs: number;
  /** From this moment on it opens nothing; null: as long as the key. */
  readonly expiresAtMs: number | null;
}

/** A client's key, its rights and its owner, as it is stored. Immutable: a change makes a new one. */
export interface ClientKey {
  /** Unique, never used again. */
  readonly id: string;
  readonly organisationId: string;
  readonly projectId: string;
  /** For people; not unique. */
  readonly name: string;
  readonly owner: string | null;
  /** Newest first, at least one. */
  readonly versions: readonly [KeyVersion, ...KeyVersion[]];
  readonly createdAtMs: number;
  /** From this moment on it opens nothing; null: never. */
  readonly expiresAtMs: number | null;
  /** Null: it is not. For good. */
  readonly revokedAtMs: number | null;
  readonly policies: KeyPolicies;
  readonly limits: Limits;
  readonly budgets: readonly BudgetLimit[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** One change of the stored keys, as it is told to whoever keeps them in memory. */
export type ClientKeyChange =
  /** Made, changed, rotated or revoked. */
  | { readonly kind: 'put'; readonly key: ClientKey }
  /** Its record is gone. Revoking keeps the record. */
  | { readonly kind: 'remove'; readonly id: string };

export const KEY_STATES = ['live', 'expired', 'revoked'] as const;
export type KeyState = (typeof KEY_STATES)[number];

export function keyState({ expiresAtMs, revokedAtMs }: ClientKey, nowMs: number): KeyState {
  if (revokedAtMs !== null) return 'revoked';
  return expiresAtMs !== null && nowMs >= expiresAtMs ? 'expired' : 'live';
}

/** How lists show a key's text: `wgl_live_Ab3d…9f3c`. */
export function shownVersion(version: KeyVersion): string {
  return `${version.prefix}…${version.lastFour}`;
}

/** Texts that open the door now and end with the next rotation: all but the newest. */
export function endedByRotation(key: ClientKey, nowMs: number): readonly KeyVersion[] {
  if (keyState(key, nowMs) !== 'live') return [];
  return key.versions.slice(1).filter(({ expiresAtMs }) => expiresAtMs === null || expiresAtMs > nowMs);
}

/**
 * The key with a new text. The one before it goes on until `oldUntilMs`, any older one ends now, so that never more
 * than two open the door.
 * @param oldUntilMs Milliseconds since the Unix epoch; the present: the old text ends at once.
 */
export function rotateKey(key: ClientKey, added: KeyVersion, oldUntilMs: number): ClientKey {
  const [before] = key.versions;
  const untilMs = Math.min(oldUntilMs, before.expiresAtMs ?? oldUntilMs);
  return { ...key, versions: [added, { ...before, expiresAtMs: untilMs }] };
}
