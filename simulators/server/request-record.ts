import type { SimulatedRequest } from '../types.ts';

/** A log entry while it is being written. */
export type RequestRecord = { -readonly [Key in keyof SimulatedRequest]: SimulatedRequest[Key] };
