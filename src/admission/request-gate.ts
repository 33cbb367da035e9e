import type { RateLimits } from '../core/rate-limit.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InferenceRequest } from '../core/request.ts';
import { expectedTokens } from './expected-tokens.ts';
import { allowsModel, applyPolicies } from './policies.ts';

export interface RequestGateOptions {
  readonly limits: RateLimits;
  /** What a model's name stands for: aliases and pinned providers resolved; an empty name: any model. */
  readonly meaningOf: (requested: string) => { readonly name: string; readonly pin: string | null };
}

/** The request as its caller may make it, with its place among those that run, or why not. */
export type Gated =
  | { readonly ok: true; readonly request: InferenceRequest }
  | { readonly ok: false; readonly refusal: Refusal };

/** Of requests that ask for no route. */
const USUAL_ROUTE = 'default';
/** Counts for an answer whose length the client does not limit, until it is known. */
const USUAL_ANSWER_TOKENS = 1_024;

/** What a known caller may ask for, and how much. Looks at memory only; nothing is awaited. */
export class RequestGate {
  readonly #options: RequestGateOptions;

  constructor(options: RequestGateOptions) {
    this.#options = options;
  }

  admit(request: InferenceRequest): Gated {
    const { caller } = request;
    const names = this.#namesOf(request.requestedModel);
    const route = request.fence.route?.name ?? USUAL_ROUTE;
    const allowed = applyPolicies(caller, { models: names, route, fence: request.fence });
    if (!allowed.ok) return allowed;
    const tokens = expectedTokens(request, USUAL_ANSWER_TOKENS);
    const decision = this.#options.limits.admit({ caller, model: names.at(-1) ?? '', tokens });
    if (!decision.ok) return decision;
    const narrowed = allowed.fence === request.fence ? {} : { fence: allowed.fence, fenceAsked: request.fence };
    return { ok: true, request: { ...request, ...narrowed, rateLease: decision.lease } };
  }

  /** Whether the caller sees this model in lists. */
  shows({ policies }: InferenceRequest['caller'], model: string): boolean {
    const { models } = policies;
    return models === null || this.#namesOf(model).some((name) => allowsModel(models, name));
  }

  #namesOf(requested: string): readonly [string, ...string[]] {
    const { name, pin } = this.#options.meaningOf(requested);
    return pin === null ? [requested, name] : [requested, `${pin}/${name}`, name];
  }
}
