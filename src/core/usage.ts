/** Tokens of one upstream reply as the server reported them; integers. */
export interface Usage {
  /** Includes cached tokens, as OpenAI counts. */
  readonly promptTokens: number;
  /** Includes reasoning tokens, as OpenAI counts. */
  readonly completionTokens: number;
  /** Part of `promptTokens`; null: not reported. */
  readonly cachedTokens: number | null;
  readonly reasoningTokens: number;
  /** What the provider says it charged, in nano-USD; null: not said. */
  readonly costNanoUsd: number | null;
  /** Tokens with prices of their own; absent: none was reported, as nearly always. */
  readonly parts?: TokenParts;
}

/** The first three are parts of `promptTokens`, the others of `completionTokens`; integers ≥ 0. */
export interface TokenParts {
  /** Put into the provider's prompt cache, which some charge for. */
  readonly cacheWriteTokens: number;
  readonly audioInputTokens: number;
  readonly imageInputTokens: number;
  readonly audioOutputTokens: number;
  readonly imageOutputTokens: number;
}

/** Of a call whose server reported none: an estimate, from what was counted here. */
export function countedUsage(promptTokens: number, completionTokens: number): Usage {
  return { promptTokens, completionTokens, cachedTokens: null, reasoningTokens: 0, costNanoUsd: null };
}
