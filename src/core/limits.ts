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
