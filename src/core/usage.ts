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
}
