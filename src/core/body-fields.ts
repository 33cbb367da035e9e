import { MemberNames } from './member-names.ts';

/** Further names that one server or another takes for the most tokens of an answer, llama.cpp's `n_predict` even before `max_tokens`. */
export const OTHER_LIMITS = ['n_predict', 'num_predict', 'max_new_tokens', 'max_output_tokens', 'max_gen_len'] as const;
/** Work beside the answer that providers charge apart, or whose results they put into the prompt: searching, reading files. */
export const PAID_EXTRAS = ['plugins', 'web_search_options'] as const;
/**
 * OpenRouter's ways to name further models. A key's list of models was checked for `model` alone, and its budget was
 * asked for that one's price.
 */
export const OTHER_MODELS = ['models', 'route', 'preset'] as const;

/** Dearer ways to be answered than the one that is priced: Anthropic's fast mode and regions, and pictures made to order. */
export const DEARER_WAYS = ['speed', 'inference_geo', 'image_config'] as const;

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
  ...[...OTHER_LIMITS, ...PAID_EXTRAS, ...DEARER_WAYS, ...OTHER_MODELS, ...PROMPT_MAKERS, ...OTHERS],
]);

const IMAGE = new MemberNames(['url', 'detail', 'file_id']);
const SOUND = new MemberNames(['data', 'format', 'url']);
const FILE = new MemberNames(['file_id', 'file_data', 'file_url', 'filename']);
const CALLED = new MemberNames(['name', 'arguments']);
/** What schemas of parameters are made of is the client's own. */
const FUNCTION = new MemberNames(['name', 'description', 'parameters', 'strict']);

const PART = new MemberNames(['type', 'text', 'refusal', 'thinking', 'detail', 'file_id', 'uuid', 'cache_control'], {
  ...{ image_url: IMAGE, image: IMAGE, input_image: IMAGE, image_embeds: IMAGE },
  ...{ input_audio: SOUND, audio_url: SOUND, audio: SOUND, audio_embeds: SOUND },
  ...{ video_url: SOUND, video: SOUND, input_video: SOUND, file: FILE, input_file: FILE },
});

const CALL = new MemberNames(['id', 'type', 'index'], { function: CALLED, custom: new MemberNames(['name', 'input']) });

const MESSAGE = new MemberNames(
  [
    ...['role', 'name', 'tool_call_id', 'refusal', 'audio', 'images', 'tools', 'prefix', 'partial'],
    ...['reasoning', 'reasoning_content', 'thinking'],
  ],
  { content: PART, tool_calls: CALL, function_call: CALLED },
);

const TOOL = new MemberNames(['type', 'name', 'description', 'parameters'], {
  function: FUNCTION,
  custom: new MemberNames(['name', 'description', 'format']),
});

/**
 * The members of a chat request that mean something to the gateway or are what servers make prompts of: what was
 * counted of a request, and what is changed on the way, must be what they read.
 */
export const CHAT_MEMBERS = new MemberNames(BODY_FIELDS, {
  messages: MESSAGE,
  tools: TOOL,
  functions: FUNCTION,
  stream_options: new MemberNames(['include_usage']),
  prediction: new MemberNames(['type'], { content: PART }),
});
