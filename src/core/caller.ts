import { ANYTHING, type BudgetLimit, type KeyPolicies } from './client-key.ts';
import { type Limits, NO_LIMITS } from './limits.ts';

/** Where everything belongs until somebody makes organisations and projects. */
export const DEFAULT_ORGANISATION = 'default';
export const DEFAULT_PROJECT = 'default';

/**
 * Who sent a request, as it is carried on: who pays, what is allowed. Nothing secret; one object for all requests of a
 * key, never written to.
 */
export interface Caller {
  /**
   * `anyone`: no key is needed here · `operator`: the admin key, which opens the data plane while there are no client
   * keys · `key`: a client key.
   */
  readonly kind: 'anyone' | 'operator' | 'key';
  /** Null: not called with a client key. */
  readonly keyId: string | null;
  /** For people. */
  readonly name: string;
  readonly organisationId: string;
  readonly projectId: string;
  /** The person or team that the key belongs to; null: not said. */
  readonly owner: string | null;
  readonly policies: KeyPolicies;
  readonly limits: Limits;
  readonly budgets: readonly BudgetLimit[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** Who needs no key, or has the operator's: no tenant of its own, no limits. */
export const ANYONE: Caller = unlimited('anyone');
export const OPERATOR: Caller = unlimited('operator');

function unlimited(kind: 'anyone' | 'operator'): Caller {
  const tenant = { organisationId: DEFAULT_ORGANISATION, projectId: DEFAULT_PROJECT };
  const rights = { policies: ANYTHING, limits: NO_LIMITS, budgets: [], metadata: {} };
  return Object.freeze({ kind, keyId: null, name: kind, owner: null, ...tenant, ...rights });
}
