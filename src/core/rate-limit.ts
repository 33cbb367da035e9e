import type { Caller } from './caller.ts';
import type { Limits } from './limits.ts';
import type { Refusal } from './refusal.ts';

/** Whose use is counted together. A model is counted over all callers, the others each by their id. */
export const LIMIT_SCOPES = ['key', 'project', 'organisation', 'model'] as const;
export type LimitScope = (typeof LIMIT_SCOPES)[number];

/** What one request is going to use. */
export interface LimitedRequest {
  readonly caller: Caller;
  /** What its alias stands for, so that no alias goes round a model's limit. */
  readonly model: string;
  /** Whether a limit under this other name, in small letters, is of that model too; left out: none is. */
  readonly isAlsoNamed?: (name: string) => boolean;
  /** Expected, prompt and answer together, ≥ 1. */
  readonly tokens: number;
}

/** One request that was let in. Whatever becomes of it, `release` is called; calling anything twice does nothing. */
export interface RateLease {
  /** What it really used, tokens, prompt and answer together, ≥ 0; never called: what was expected stands. Before or after `release`. */
  settle(tokens: number): void;
  /** The request is over: it no longer counts as one of those at once. */
  release(): void;
  /** OpenAI's `x-ratelimit-*`, as things stand now; of several scopes the one with the least left. Empty: no limits. */
  headers(): Readonly<Record<string, string>>;
}

export type RateDecision = { readonly ok: true; readonly lease: RateLease } | RateRefused;

export interface RateRefused {
  readonly ok: false;
  readonly refusal: Refusal;
  /** Which limit said no; of several the one that lets it in last. */
  readonly scope: LimitScope;
  readonly limit: keyof Limits;
}

/** Lets requests in, all scopes or none. */
export interface RateLimits {
  /** Some model has a limit: only then does it matter which one is asked. */
  readonly limitsModels: boolean;
  admit(request: LimitedRequest): RateDecision;
}
