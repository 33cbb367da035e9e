import type { UpstreamCall } from '../../core/adapter.ts';
import { patchTopLevel } from '../../core/json-patch.ts';
import { isObject } from '../../core/json-shape.ts';
import type { InferenceRequest } from '../../core/request.ts';
import { type Changes, notSentOn, type TokenLimitField, withinTerms } from './within-terms.ts';

/** How the reply is asked for: as the client wants it, or as a stream that is assembled into a whole reply. */
export type AskFor = 'stream' | 'assembled' | 'whole';

/**
 * What a backend does with an assistant's message that stands last: begins a new one (`no`), goes on with it
 * (`trailing-message`), or goes on when vLLM's flags say so (`flags`).
 */
export type Continuation = 'no' | 'trailing-message' | 'flags';

/** What a backend's wire lacks against OpenAI's. */
export interface RequestRules {
  /** The backend knows only `max_tokens`: a lone `max_completion_tokens` is sent under that name. */
  readonly maxTokensOnly: boolean;
  /** Top-level fields that the backend refuses, or would misread. */
  readonly refuses: readonly string[];
  readonly continuation: Continuation;
  /** It chooses among providers by `provider`, which may say the most that they may ask. Default false. */
  readonly choosesProvider?: boolean;
}

/** Fields whose effect on the reply no stream carries over faithfully in every server: such replies are asked for whole. */
export function streamsFaithfully(body: Readonly<Record<string, unknown>>): boolean {
  const { n, logprobs, top_logprobs, modalities, audio, prompt_logprobs } = body;
  if (n !== undefined && n !== null && n !== 1) return false;
  if (logprobs === true || typeof logprobs === 'number') return false;
  if (typeof top_logprobs === 'number' || typeof prompt_logprobs === 'number') return false;
  if (isObject(audio)) return false;
  return !(Array.isArray(modalities) && modalities.some((modality) => modality !== 'text'));
}

/**
 * The body for one target: the client's bytes with only the top-level fields changed that must be.
 *
 * @param limitField what the target calls the most tokens of an answer, where the client does not say
 */
export function bodyFor(
  { request, model, terms, onNotSentOn }: Pick<UpstreamCall, 'request' | 'model' | 'terms' | 'onNotSentOn'>,
  ask: AskFor,
  rules: RequestRules,
  limitField: TokenLimitField,
): Uint8Array {
  const { body } = request;
  const forTerms = withinTerms(request, terms, limitField, rules.choosesProvider);
  const dropped = notSentOn(body, forTerms);
  if (dropped.length > 0) onNotSentOn(dropped);
  const changes: Changes = { model, ...forTerms };
  if (ask === 'whole') {
    // Left out means the same.
    if (body['stream'] !== undefined) changes['stream'] = false;
    if (body['stream_options'] !== undefined) changes['stream_options'] = undefined;
  } else {
    changes['stream'] = true;
    const asked = isObject(body['stream_options']) ? body['stream_options'] : {};
    changes['stream_options'] = { ...asked, include_usage: true };
  }
  if (request.continues) Object.assign(changes, rules.continuation === 'flags' ? CONTINUE : NO_ECHO);
  if (rules.maxTokensOnly) renameTokenLimit(body, changes);
  for (const field of rules.refuses) if (Object.hasOwn(body, field)) changes[field] = undefined;
  return patchTopLevel(request.rawBody, changes, body);
}

/** Whatever the client set: the client has the beginning already. */
const NO_ECHO = { echo: undefined };
const CONTINUE = { continue_final_message: true, add_generation_prompt: false, echo: false };

function renameTokenLimit(body: InferenceRequest['body'], changes: Changes): void {
  const sent = (field: TokenLimitField): unknown => (Object.hasOwn(changes, field) ? changes[field] : body[field]);
  const limit = sent('max_completion_tokens');
  if (limit === undefined) return;
  const known = sent('max_tokens');
  changes['max_completion_tokens'] = undefined;
  if (known === undefined || known === null) changes['max_tokens'] = limit;
}
