/** The parts of what an answer is expected to take, s, each ≥ 0; their sum is what targets are compared by. */
export interface CostTerms {
  /** Until the model is in memory; 0 when it is. */
  readonly load: number;
  /** Until a slot is free and the prompts before it are read. */
  readonly wait: number;
  /** Reading what of the prompt is not cached. */
  readonly prefill: number;
  /** Writing the answer that is expected. */
  readonly decode: number;
  /** What every request takes besides: the network, a cloud provider's own queue. */
  readonly network: number;
}

/** What asking one target for one request is expected to cost. */
export interface CostEstimate {
  readonly terms: CostTerms;
  /** The sum of the terms. */
  readonly seconds: number;
  /** Until the first content: all terms but `decode`. */
  readonly firstTokenSeconds: number;
  /** Of the prompt, tokens that the target is expected to have cached. */
  readonly cachedTokens: number;
  /** Null: no price is known. Local answers: 0. */
  readonly priceNanoUsd: number | null;
  /** False: nothing has been measured for this target and model yet; the fleet's median stands in. */
  readonly measured: boolean;
}
