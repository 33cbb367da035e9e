import { hash } from './chat-plan.ts';
import { countTokens, type JsonObject } from './chat-request.ts';

/** Null: no text to embed. */
export function readEmbeddingInputs(body: JsonObject | null): string[] | null {
  const input = body?.['input'];
  if (typeof input === 'string') return [input];
  if (!Array.isArray(input) || input.length === 0) return null;
  return input.map((each) => (typeof each === 'string' ? each : JSON.stringify(each)));
}

/** The same text always has the same vector. */
export function embeddingReply(
  inputs: readonly string[],
  options: { model: string; dimensions: number; base64: boolean },
): JsonObject {
  const tokens = inputs.reduce((sum, input) => sum + countTokens(input), 0);
  const data = inputs.map((input, index) => {
    const vector = Float32Array.from(
      { length: options.dimensions },
      (_, at) => (hash(`${input}#${at}`) % 2001) / 1000 - 1,
    );
    const embedding = options.base64 ? Buffer.from(vector.buffer).toString('base64') : [...vector];
    return { object: 'embedding', index, embedding };
  });
  return { object: 'list', data, model: options.model, usage: { prompt_tokens: tokens, total_tokens: tokens } };
}
