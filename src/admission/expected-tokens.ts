import { answersOf } from '../core/answer-count.ts';
import type { InferenceRequest } from '../core/request.ts';

/** Of ordinary text, at least; code and most languages have more bytes to a token. */
const BYTES_PER_TOKEN = 3;
/** An image, a sound or a file, about. */
const MEDIA_TOKENS = 1_000;

/**
 * How many tokens a request is going to use, prompt and answers together, before anybody has counted them: rather too
 * many than too few, what is too much is given back.
 * @param usualAnswerTokens For an answer whose length the client does not limit, ≥ 0.
 */
export function expectedTokens(request: Pick<InferenceRequest, 'prompt' | 'body'>, usualAnswerTokens: number): number {
  const { prompt, body } = request;
  const promptTokens = Math.ceil(prompt.mostBytes / BYTES_PER_TOKEN) + prompt.media * MEDIA_TOKENS;
  return promptTokens + (prompt.maxOutputTokens ?? usualAnswerTokens) * answersOf(body);
}
