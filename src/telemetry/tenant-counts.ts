import type { Caller } from '../core/caller.ts';
import type { Outcome } from '../core/outcome.ts';
import type { Usage } from '../core/usage.ts';

type Tenant = Pick<Caller, 'organisationId' | 'projectId'>;

/** What was counted of one project. */
export interface TenantCounts {
  readonly organisation: string;
  readonly project: string;
  readonly requests: Record<Outcome['kind'], number>;
  readonly tokens: { prompt: number; completion: number };
}

/** No tenant can be called so: beyond the limit all are counted together. */
const OTHERS = '(other)';

/**
 * The counts of each project of each organisation. Only callers whose key is known have a project that is not `default`,
 * so that no stranger can make up a new one; and there is a limit all the same.
 */
export class TenantCountsTable {
  readonly #limit: number;
  readonly #byTenant = new Map<string, TenantCounts>();
  /** One object for all requests of a key: found without making a text of it. */
  readonly #byCaller = new WeakMap<Tenant, TenantCounts>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  countRequest(caller: Tenant, outcome: Outcome['kind']): void {
    this.#of(caller).requests[outcome]++;
  }

  countTokens(caller: Tenant, { promptTokens, completionTokens }: Usage): void {
    const { tokens } = this.#of(caller);
    tokens.prompt += promptTokens;
    tokens.completion += completionTokens;
  }

  all(): readonly TenantCounts[] {
    return [...this.#byTenant.values()];
  }

  #of(caller: Tenant): TenantCounts {
    const known = this.#byCaller.get(caller);
    if (known !== undefined) return known;
    const counts = this.#found(caller) ?? this.#made(caller);
    this.#byCaller.set(caller, counts);
    return counts;
  }

  #found({ organisationId, projectId }: Tenant): TenantCounts | undefined {
    return this.#byTenant.get(nameOf(organisationId, projectId));
  }

  #made({ organisationId, projectId }: Tenant): TenantCounts {
    if (this.#byTenant.size < this.#limit) return this.#add(organisationId, projectId);
    return this.#byTenant.get(nameOf(OTHERS, OTHERS)) ?? this.#add(OTHERS, OTHERS);
  }

  #add(organisation: string, project: string): TenantCounts {
    const requests = { served: 0, cut: 0, abandoned: 0, exhausted: 0, refused: 0 };
    const counts = { organisation, project, requests, tokens: { prompt: 0, completion: 0 } };
    this.#byTenant.set(nameOf(organisation, project), counts);
    return counts;
  }
}

/** Neither id can hold a line break. */
const nameOf = (organisation: string, project: string): string => `${organisation}\n${project}`;
