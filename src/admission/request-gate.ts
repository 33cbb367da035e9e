import type { RateLimits } from '../core/rate-limit.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InferenceRequest } from '../core/request.ts';
import { expectedTokens } from './expected-tokens.ts';
import { allowsModel, applyPolicies } from './policies.ts';

export interface RequestGateOptions {
  readonly limits: RateLimits;
  /** What a model's name stands for: aliases and pinned providers resolved; an empty name: any model. */
  readonly meaningOf: (requested: string) => { readonly name: string; readonly pin: string | null };
  /** The model that is going to be asked first, as its server calls it; null: nobody can be asked. */
  readonly plannedModel: (request: InferenceRequest) => string | null;
  /** Whether clients mean this model of a server by the name. */
  readonly isNameOf: (name: string, model: string) => boolean;
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
    const { names, pin } = this.#askedOf(request.requestedModel);
    const route = request.fence.route?.name ?? USUAL_ROUTE;
    const allowed = applyPolicies(caller, { models: names, pin, route, fence: request.fence });
    if (!allowed.ok) return allowed;
    const tokens = expectedTokens(request, USUAL_ANSWER_TOKENS);
    const narrowed = allowed.fence === request.fence ? {} : { fence: allowed.fence, fenceAsked: request.fence };
    const fenced = { ...request, ...narrowed };
    const model = this.#limitedModel(fenced, names);
    const isAlsoNamed = (name: string): boolean => this.#options.isNameOf(name, model);
    const decision = this.#options.limits.admit({ caller, model, isAlsoNamed, tokens });
    if (!decision.ok) return decision;
    return { ok: true, request: { ...fenced, rateLease: decision.lease } };
  }

  /** A limit is of a model, not of one of its names: it is looked up only where there is such a limit. */
  #limitedModel(request: InferenceRequest, names: readonly [string, ...string[]]): string {
    const { limits, plannedModel } = this.#options;
    return (limits.limitsModels ? plannedModel(request) : null) ?? names.at(-1) ?? '';
  }

  /** Whether the caller sees this model in lists. */
  shows({ policies }: InferenceRequest['caller'], model: string): boolean {
    const { models } = policies;
    if (models === null) return true;
    const { names, pin } = this.#askedOf(model);
    return names.some((name) => allowsModel(models, name, pin));
  }

  #askedOf(requested: string): { readonly names: readonly [string, ...string[]]; readonly pin: string | null } {
    const { name, pin } = this.#options.meaningOf(requested);
    return { names: pin === null ? [requested, name] : [requested, `${pin}/${name}`, name], pin };
  }
}
