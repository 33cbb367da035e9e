import type { Caller } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import { type Limits, projectScopeId, type SharedLimits } from '../core/limits.ts';
import type { LimitedRequest, LimitScope, RateDecision, RateLease, RateLimits } from '../core/rate-limit.ts';
import { rateHeaders } from './rate-headers.ts';
import { refused, worstBlock } from './rate-refusal.ts';
import type { ScopeUse } from './scope-use.ts';
import { UseCounters } from './use-counters.ts';

export interface RateLimiterOptions {
  readonly clock: Pick<Clock, 'nowMs'>;
  /** Those in force now. */
  readonly shared: () => SharedLimits;
}

const NO_HEADERS: Readonly<Record<string, string>> = {};
const UNLIMITED: RateDecision = {
  ok: true,
  lease: { settle: () => undefined, release: () => undefined, headers: () => NO_HEADERS },
};

/**
 * Counts requests and tokens of each scope that has a limit, exactly: nothing is awaited between looking and counting.
 * Tokens count when their request is let in, as expected; what it used beyond that counts when it is known, what it did
 * not use is given back. Refused requests count for nothing.
 */
export class RateLimiter implements RateLimits {
  readonly #options: RateLimiterOptions;
  readonly #counters: Readonly<Record<LimitScope, UseCounters>> = {
    key: new UseCounters(),
    project: new UseCounters(),
    organisation: new UseCounters(),
    model: new UseCounters(),
  };

  constructor(options: RateLimiterOptions) {
    this.#options = options;
  }

  /** Counters in memory: of what was used within the last minute, or has requests that run. */
  get size(): number {
    return Object.values(this.#counters).reduce((sum, { size }) => sum + size, 0);
  }

  get limitsModels(): boolean {
    return this.#options.shared().models.size > 0;
  }

  admit(request: LimitedRequest): RateDecision {
    const nowMs = this.#options.clock.nowMs();
    const scopes = this.#scopesOf(request, nowMs);
    if (scopes.length === 0) return UNLIMITED;
    const tokens = wholeTokens(request.tokens);
    const block = worstBlock(scopes, tokens, nowMs);
    if (block !== null) return refused(block, tokens, rateHeaders(scopes, nowMs));
    for (const { counter } of scopes) {
      counter.requests.add(1, nowMs);
      counter.tokens.add(tokens, nowMs);
      counter.running++;
    }
    return { ok: true, lease: this.#lease(scopes, tokens, nowMs) };
  }

  #lease(scopes: readonly ScopeUse[], expected: number, admittedAtMs: number): RateLease {
    const { clock } = this.#options;
    let settled = false;
    let released = false;
    return {
      settle: (tokens) => {
        if (settled || Number.isNaN(tokens)) return;
        settled = true;
        const more = Math.min(MOST_TOKENS, Math.max(0, Math.ceil(tokens))) - expected;
        this.#trueUp(released ? this.#asTheyAreNow(scopes) : scopes, more, admittedAtMs);
      },
      release: () => {
        if (released) return;
        released = true;
        for (const { counter } of scopes) counter.running--;
      },
      headers: () => rateHeaders(released ? this.#asTheyAreNow(scopes) : scopes, clock.nowMs()),
    };
  }

  /** What was used beyond what was expected counts from now on: else a long answer would be over before it counts. */
  #trueUp(scopes: readonly ScopeUse[], more: number, admittedAtMs: number): void {
    const nowMs = this.#options.clock.nowMs();
    for (const { counter } of scopes) {
      if (more > 0) counter.tokens.add(more, nowMs);
      else counter.tokens.takeBack(-more, admittedAtMs, nowMs);
    }
  }

  /** After its release a request no longer keeps its counters in memory. */
  #asTheyAreNow(scopes: readonly ScopeUse[]): readonly ScopeUse[] {
    const nowMs = this.#options.clock.nowMs();
    return scopes.map((use) => ({ ...use, counter: this.#counters[use.scope].of(use.id, nowMs) }));
  }

  #scopesOf({ caller, model, isAlsoNamed }: LimitedRequest, nowMs: number): readonly ScopeUse[] {
    const shared = this.#options.shared();
    const found: ScopeUse[] = [];
    const add = (scope: LimitScope, id: string, name: string, limits: Limits | undefined): void => {
      // Only what has a limit gets a counter: names that clients make up take no memory.
      if (limits === undefined || !limitsAnything(limits)) return;
      found.push({ scope, id, name, limits, counter: this.#counters[scope].of(id, nowMs) });
    };
    if (caller.keyId !== null) add('key', caller.keyId, caller.name, caller.limits);
    if (shared.projects.size > 0) addProject(add, caller, shared);
    add('organisation', caller.organisationId, caller.organisationId, shared.organisations.get(caller.organisationId));
    const modelId = model.toLowerCase();
    // Each limit counts by itself, so that one under a client's name for the model does not take the place of the model's own.
    for (const [id, limits] of shared.models) {
      if (id === modelId) add('model', id, model, limits);
      else if (isAlsoNamed?.(id) === true) add('model', id, id, limits);
    }
    return found;
  }
}

function addProject(
  add: (scope: LimitScope, id: string, name: string, limits: Limits | undefined) => void,
  { organisationId, projectId }: Caller,
  { projects }: SharedLimits,
): void {
  const id = projectScopeId(organisationId, projectId);
  add('project', id, projectId, projects.get(id));
}

function limitsAnything({ rpm, tpm, concurrent }: Limits): boolean {
  return rpm !== null || tpm !== null || concurrent !== null;
}

/** More than any request uses; sums of it stay exact. */
const MOST_TOKENS = 1e9;

/** Nothing is free: else requests that expect nothing would pass a limit that is used up. */
function wholeTokens(tokens: number): number {
  return Number.isNaN(tokens) ? 1 : Math.min(MOST_TOKENS, Math.max(1, Math.ceil(tokens)));
}
