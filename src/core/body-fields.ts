/** Further names that one server or another takes for the most tokens of an answer, llama.cpp's `n_predict` even before `max_tokens`. */
export const OTHER_LIMITS = ['n_predict', 'num_predict', 'max_new_tokens', 'max_output_tokens', 'max_gen_len'] as const;
/** Work beside the answer that providers charge apart, or whose results they put into the prompt: searching, reading files. */
export const PAID_EXTRAS = ['plugins', 'web_search_options'] as const;
/**
 * OpenRouter's ways to name further models. A key's list of models was checked for `model` alone, and its budget was
 * asked for that one's price.
 */
export const OTHER_MODELS = ['models', 'route', 'preset'] as const;

/** What vLLM and SGLang make a prompt from, or take a picture or a film for: any of them may make it many times as long. */
export const PROMPT_MAKERS = ['chat_template', 'mm_processor_kwargs', 'media_io_kwargs'] as const;

/** Members that say how to answer and are shown to no model. Whatever else is there may be. */
export const SETTINGS: ReadonlySet<string> = new Set([
  ...['model', 'stream', 'stream_options', 'max_tokens', 'max_completion_tokens', 'n', 'best_of', 'stop', 'seed'],
  ...['temperature', 'top_p', 'top_k', 'min_p', 'frequency_penalty', 'presence_penalty', 'repetition_penalty'],
  ...['logit_bias', 'logprobs', 'top_logprobs', 'user', 'metadata', 'store', 'parallel_tool_calls', 'tool_choice'],
  ...['service_tier', 'safety_identifier', 'prompt_cache_key', 'session_id', 'modalities', 'provider', 'prediction'],
]);

/** What else the gateway reads, sets or takes out. */
const OTHERS = [
  ...['messages', 'tools', 'functions', 'function_call', 'response_format', 'audio', 'prompt_logprobs'],
  ...['truncate_prompt_tokens', 'transforms', 'echo', 'continue_final_message', 'add_generation_prompt'],
  'chat_template_kwargs',
] as const;

/** All top-level members of a chat request that mean something to the gateway. */
export const BODY_FIELDS: ReadonlySet<string> = new Set([
  ...SETTINGS,
  ...[...OTHER_LIMITS, ...PAID_EXTRAS, ...OTHER_MODELS, ...PROMPT_MAKERS, ...OTHERS],
]);

const MOST_LETTERS = Math.max(...[...BODY_FIELDS].map(({ length }) => length));

/**
 * The member that some servers take this one for although the gateway does not; null: none. Go matches names without
 * regard to case, the last one counts, and the long s (U+017F) and the Kelvin sign are letters to it.
 */
export function fieldInOtherLetters(name: string): string | null {
  if (BODY_FIELDS.has(name) || name.length > MOST_LETTERS) return null;
  const folded = foldedName(name);
  return BODY_FIELDS.has(folded) ? folded : null;
}

/** As those compare names that do so without regard to case. */
export function foldedName(name: string): string {
  return name.toLowerCase().replaceAll('\u017f', 's').replaceAll('\u0131', 'i').replaceAll('i\u0307', 'i');
}
