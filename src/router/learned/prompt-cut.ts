import type { PromptFacts } from '../../core/prompt.ts';
import type { Usage } from '../../core/usage.ts';
import { LEAST_CONTEXT } from './context-seen.ts';

/** More bytes a token than whole text ever has on average; less is not worth counting its words. */
const SUSPICIOUS_BYTES = 5;
/** Tokens of a prompt for each of its words: English has 1.3, and tokenizers that join words 0.85. */
const TOKENS_A_WORD = 0.7;

/** A prompt as it was sent, with what was expected of it then, tokens. */
interface SentPrompt {
  readonly prompt: PromptFacts;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly mayHideCached: boolean;
}

/**
 * Some servers cut a prompt that is too long without a word, and answer what is left of it. True: this one reports fewer
 * tokens of it than it has words, which no whole prompt has. To be asked before the call is learned from.
 */
export function promptWasCut(sent: SentPrompt, usage: Usage | null): boolean {
  const { prompt, promptTokens, cachedTokens, mayHideCached } = sent;
  if (usage === null || mayHideCached || prompt.cutOnRequest) return false;
  // Some servers count only what they had to read (Ollama's prompt_eval_count).
  const cachedShare = promptTokens === 0 ? 0 : cachedTokens / promptTokens;
  return wasCut(prompt, usage.promptTokens, cachedShare);
}

/** `cachedShare`: of the prompt, that its server may leave out of its count, 0 to 1. */
export function wasCut(prompt: PromptFacts, reportedTokens: number, cachedShare: number): boolean {
  if (prompt.media > 0 || reportedTokens < LEAST_CONTEXT) return false;
  const tokens = reportedTokens / Math.max(1e-6, 1 - cachedShare);
  const mostWords = tokens / TOKENS_A_WORD;
  return prompt.bytes > tokens * SUSPICIOUS_BYTES && prompt.words(mostWords + 1) > mostWords;
}
