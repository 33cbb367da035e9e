import type { Purchase } from '../../core/billing.ts';
import type { InferenceRequest } from '../../core/request.ts';

/** Of ordinary text, at least; code and most languages have more bytes to a token. */
const BYTES_PER_TOKEN = 3;
/** A large image at the dearest of the known tokenizers. Sounds and files may have more. */
const MEDIA_TOKENS = 2_500;

/** Tokens that a call may use; integers ≥ 0. */
export interface TokenBounds {
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/**
 * What is set aside before a call is made: rather too much than too little, the rest is given back.
 * @param usualOutputTokens For an answer whose length the client does not limit, ≥ 0.
 */
export function boundsOf({ request, promptTokens }: Purchase, usualOutputTokens: number): TokenBounds {
  const { prompt } = request;
  const atMost = Math.ceil(prompt.mostBytes / BYTES_PER_TOKEN) + prompt.media * MEDIA_TOKENS;
  return {
    promptTokens: Math.max(atMost, Math.ceil(promptTokens)),
    outputTokens: outputTokens(request, usualOutputTokens),
  };
}

function outputTokens({ operation, prompt, body }: InferenceRequest, usual: number): number {
  if (operation === 'embedding') return 0;
  return (prompt.maxOutputTokens ?? usual) * answersOf(body);
}

/** `n` answers are n times as long, and of `best_of` all are written though fewer are shown. */
function answersOf(body: Readonly<Record<string, unknown>>): number {
  return Math.max(countOf(body['n']), countOf(body['best_of']));
}

function countOf(value: unknown): number {
  return typeof value === 'number' && value >= 1 ? Math.ceil(value) : 1;
}
