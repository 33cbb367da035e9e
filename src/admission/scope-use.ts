import type { Limits } from '../core/limits.ts';
import type { LimitScope } from '../core/rate-limit.ts';
import type { UseCounter } from './use-counters.ts';

/** One limit's owner as it stands when a request comes. */
export interface ScopeUse {
  readonly scope: LimitScope;
  readonly id: string;
  /** For people. */
  readonly name: string;
  readonly limits: Limits;
  readonly counter: UseCounter;
}
