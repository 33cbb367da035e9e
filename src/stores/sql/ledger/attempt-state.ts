import type { EndState } from '../../../core/ledger.ts';

/** `reserved`: it runs, or its process died. The others never change again. */
export type AttemptState = 'reserved' | EndState;
