import type { SharedScope } from './budget.ts';

/** What may be used within a minute, or at once. Each a whole number ≥ 0; null: no limit. 0 lets nothing pass. */
export interface Limits {
  /** Requests in any 60 seconds. */
  readonly rpm: number | null;
  /** Tokens in any 60 seconds, prompts and answers together. */
  readonly tpm: number | null;
  /** Requests at once. */
  readonly concurrent: number | null;
}

export const NO_LIMITS: Limits = { rpm: null, tpm: null, concurrent: null };

/** Limits that all keys of an organisation or project, or all calls of a model, share. */
export interface SharedLimit {
  readonly organisationId: string;
  readonly scope: SharedScope;
  /** Id of the organisation or project, or name of the model. */
  readonly scopeId: string;
  readonly limits: Limits;
  /** ≥ 1; goes up with every change. */
  readonly revision: number;
}

/** Limits beside those that a key carries itself. */
export interface SharedLimits {
  readonly organisations: ReadonlyMap<string, Limits>;
  /** By `projectScopeId`. */
  readonly projects: ReadonlyMap<string, Limits>;
  /** By name in lower case: model names are told apart without regard to it. Counted over all callers. */
  readonly models: ReadonlyMap<string, Limits>;
}

export const NO_SHARED_LIMITS: SharedLimits = { organisations: new Map(), projects: new Map(), models: new Map() };

/** Two organisations may have a project of the same id: what is counted for one must not count for the other. */
export function projectScopeId(organisationId: string, projectId: string): string {
  return `${organisationId.length}:${organisationId}/${projectId}`;
}

/** As requests are checked against them. */
export function sharedLimits(all: Iterable<SharedLimit>): SharedLimits {
  const organisations = new Map<string, Limits>();
  const projects = new Map<string, Limits>();
  const models = new Map<string, Limits>();
  for (const { organisationId, scope, scopeId, limits } of all) {
    if (scope === 'organisation') organisations.set(organisationId, limits);
    else if (scope === 'project') projects.set(projectScopeId(organisationId, scopeId), limits);
    else models.set(scopeId.toLowerCase(), limits);
  }
  return { organisations, projects, models };
}
