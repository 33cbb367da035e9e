import { randomBytes } from 'node:crypto';
import { type ChatDialect, OPENAI_DIALECT, plainUsage } from '../generation/chat-dialect.ts';
import type { ChatPlan } from '../generation/chat-plan.ts';
import { type Answer, json } from '../server/answer.ts';
import { bearerOf, type Exchange, isOpenAiInference, type Wire } from '../server/exchange.ts';
import type { ShelvedModel } from '../server/model-shelf.ts';
import { type OpenAiManner, STAYS_LOADED, serveOpenAi } from './serve-openai.ts';

const BASE = '/api/v1';
/** USD a token; the strings are what the model list shows. */
const PROMPT_PRICE = '0.00000015';
const COMPLETION_PRICE = '0.0000006';

function errorBody(status: number, message: string): unknown {
  return { error: { code: status, message } };
}

/** Rounded to a nano-USD, the smallest step that the prices above can make. */
function cost(plan: ChatPlan): number {
  const usd = plan.promptTokens * Number(PROMPT_PRICE) + plan.completionTokens * Number(COMPLETION_PRICE);
  return Math.round(usd * 1e9) / 1e9;
}

const DIALECT: ChatDialect = {
  ...OPENAI_DIALECT,
  reasoningField: 'reasoning',
  envelope: () => ({ provider: 'Simulated' }),
  finishExtras: (choice) => ({ native_finish_reason: choice.finishReason }),
  honoursChoiceCount: false,
  nullUsageBefore: false,
  streamedUsage: 'always',
  usage: (plan) => ({
    ...plainUsage(plan),
    cost: cost(plan),
    is_byok: false,
    cost_details: { upstream_inference_cost: null },
    prompt_tokens_details: { cached_tokens: 0, cache_write_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: plan.reasoningTokens },
  }),
  openingComments: ['OPENROUTER PROCESSING', 'OPENROUTER PROCESSING'],
};

/** The model asked for, else the first of the `models` list that exists. */
function pick({ shelf, body }: Exchange, name: string): ShelvedModel | Answer {
  const others = Array.isArray(body?.['models']) ? body['models'] : [];
  for (const each of [name, ...others]) {
    const model = shelf.find(String(each));
    if (model !== null) return model;
  }
  const availability = { code: 'model_not_found', retryable: false };
  return json(404, {
    error: {
      code: 404,
      message: `No endpoints found for ${name}.`,
      metadata: { error_type: 'not_found' },
      availability,
    },
  });
}

const MANNER: OpenAiManner = {
  dialect: DIALECT,
  pick,
  loading: STAYS_LOADED,
  overflow: (promptTokens, contextLength) =>
    json(400, {
      error: {
        code: 400,
        message: `This endpoint's maximum context length is ${contextLength} tokens. However, you requested about ${promptTokens} tokens.`,
        metadata: { error_type: 'context_length_exceeded', provider_name: 'Simulated' },
      },
    }),
  badBody: (message) => json(400, errorBody(400, message)),
  headers: () => ({ 'x-generation-id': `gen-${randomBytes(8).toString('hex')}` }),
  honoursBase64: true,
};

function listed({ spec }: ShelvedModel) {
  const contextLength = spec.contextLength ?? 8192;
  return {
    id: spec.id,
    canonical_slug: spec.id,
    name: spec.id,
    created: 1_721_260_800,
    description: 'A simulated model',
    context_length: contextLength,
    architecture: {
      input_modalities: ['text', 'image'],
      output_modalities: ['text'],
      tokenizer: 'Other',
      instruct_type: null,
    },
    pricing: {
      prompt: PROMPT_PRICE,
      completion: COMPLETION_PRICE,
      request: '0',
      image: '0',
      web_search: '0',
      internal_reasoning: '0',
    },
    top_provider: { context_length: contextLength, max_completion_tokens: null, is_moderated: false },
    per_request_limits: null,
    supported_parameters: [
      'tools',
      'tool_choice',
      'response_format',
      'structured_outputs',
      'seed',
      'max_tokens',
      'stop',
    ],
    default_parameters: {},
    expiration_date: null,
  };
}

function key(): Answer {
  const usage = { usage: 1.25, usage_daily: 0, usage_weekly: 0, usage_monthly: 1.25 };
  return json(200, {
    data: {
      label: 'sk-or-v1-sim',
      limit: 10,
      limit_reset: null,
      limit_remaining: 8.75,
      include_byok_in_limit: false,
      ...usage,
      is_free_tier: false,
    },
  });
}

function answer(exchange: Exchange): Answer | Promise<Answer> {
  const { method, path } = exchange.request;
  if (method === 'GET' && path === `${BASE}/models`) {
    const data = exchange.shelf.all().map(listed);
    return json(200, { data, total_count: data.length, links: { next: null } });
  }
  if (method === 'GET' && path === `${BASE}/key`) return key();
  const served =
    method === 'POST' && path.startsWith(`${BASE}/`)
      ? serveOpenAi(exchange, path.slice(BASE.length + 1), MANNER)
      : null;
  return served ?? json(404, errorBody(404, 'Not Found'));
}

/** The chunk that OpenRouter ends a stream with when its provider fails half-way. */
const STREAM_ERROR = {
  id: 'gen-simulated',
  object: 'chat.completion.chunk',
  created: 1_721_260_800,
  model: 'simulated',
  provider: 'Simulated',
  error: { code: 'server_error', message: 'Provider disconnected unexpectedly' },
  choices: [{ index: 0, delta: { content: '' }, finish_reason: 'error' }],
};

/** OpenRouter: prices, comments while it works, usage with cost on every reply. The model list is public. */
export const openRouterWire: Wire = {
  kind: 'openrouter',
  defaults: { earlyHeaders: true },
  basePath: BASE,
  headers: {},
  isInference: isOpenAiInference,
  errorBody,
  streamErrorBody: STREAM_ERROR,
  refuseStranger: ({ request }, apiKey) => {
    if (request.path === `${BASE}/models` || bearerOf(request) === apiKey) return null;
    return json(401, errorBody(401, bearerOf(request) === null ? 'No auth credentials found' : 'User not found.'));
  },
  answer,
};
