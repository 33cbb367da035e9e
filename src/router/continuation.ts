import { isObject } from '../core/json-shape.ts';
import type { InferenceRequest } from '../core/request.ts';
import type { TargetEntry } from './target-entry.ts';

type Body = InferenceRequest['body'];

/**
 * What servers besides `response_format` call a form that the answer must have (llama.cpp, vLLM, SGLang, Ollama). They
 * hold the rest to it from its first character, as if there were no beginning.
 */
const FORMS = [
  'grammar',
  'json_schema',
  'guided_json',
  'guided_regex',
  'guided_choice',
  'guided_grammar',
  'structured_outputs',
  'regex',
  'ebnf',
  'structural_tag',
  'format',
];

/** May an answer to this request be continued by another target at all? Pure. */
export function asksForPlainText({ stream, operation, body }: InferenceRequest): boolean {
  if (!stream || operation !== 'chat') return false;
  const { n, logprobs, response_format: format, modalities, messages } = body;
  if (n !== undefined && n !== null && n !== 1) return false;
  if (logprobs === true || typeof logprobs === 'number') return false;
  if (isObject(format) && format['type'] !== 'text') return false;
  if (FORMS.some((form) => body[form] !== undefined && body[form] !== null)) return false;
  if (Array.isArray(modalities) && modalities.some((modality) => modality !== 'text')) return false;
  // The client itself gave the beginning of the answer: two beginnings cannot be told apart.
  const last: unknown = Array.isArray(messages) ? messages.at(-1) : undefined;
  return isObject(last) && last['role'] !== 'assistant';
}

/** The answer has reached the client's own limit: there is no rest to ask for. */
export function isAtLimit({ body }: InferenceRequest, produced: number): boolean {
  return ['max_tokens', 'max_completion_tokens'].some((field) => {
    const limit = body[field];
    return typeof limit === 'number' && produced >= limit;
  });
}

/**
 * May this much of the answer stand at a join? Not when it ends in the midst of a stop sequence: a server looks for
 * those only in what it says itself.
 */
export function mayEndHere({ body: { stop } }: InferenceRequest, text: string): boolean {
  const stops: readonly unknown[] = Array.isArray(stop) ? stop : [stop];
  return !stops.some((each) => typeof each === 'string' && endsWithin(text, each));
}

function endsWithin(text: string, stop: string): boolean {
  for (let length = 1; length < stop.length; length++) if (text.endsWith(stop.slice(0, length))) return true;
  return false;
}

/** Does the target go on with an assistant's message that stands last? */
export function continuesAnswers({ target, adapter }: TargetEntry): boolean {
  return target.continuesAnswers ?? adapter.continuesAnswers;
}

/**
 * The request for the rest of an answer: the beginning as the assistant's last message, and a token limit lowered by
 * what has been produced.
 *
 * @param prefill text without white space at its end
 * @param produced tokens sent so far, fewer than any limit
 */
export function continuationRequest(request: InferenceRequest, prefill: string, produced: number): InferenceRequest {
  const messages = Array.isArray(request.body['messages']) ? request.body['messages'] : [];
  const body: Body = {
    ...request.body,
    ...lowered(request.body, 'max_tokens', produced),
    ...lowered(request.body, 'max_completion_tokens', produced),
    messages: [...messages, { role: 'assistant', content: prefill }],
  };
  return { ...request, body, rawBody: new TextEncoder().encode(JSON.stringify(body)), continues: true };
}

function lowered(body: Body, field: string, produced: number): Body {
  const limit = body[field];
  return typeof limit === 'number' ? { [field]: limit - produced } : {};
}
