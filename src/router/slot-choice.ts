import type { PromptFacts } from '../core/prompt.ts';
import type { TargetEntry } from './target-entry.ts';

/** A place where a request could run. */
export interface SlotChoice {
  readonly entry: TargetEntry;
  readonly model: string;
  /** Asked although it rests after failures, or is on trial; the caller pays for it from the retry budget. */
  readonly outOfTurn: boolean;
  /** Of the request; default: of no length. */
  readonly prompt?: PromptFacts;
}
