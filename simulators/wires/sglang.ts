import { type ChatDialect, OPENAI_DIALECT, plainUsage } from '../generation/chat-dialect.ts';
import { type Answer, json, text } from '../server/answer.ts';
import { type Exchange, isOpenAiInference, type Wire } from '../server/exchange.ts';
import { refuseWithoutBearer } from './openai-compatible.ts';
import { modelList, type OpenAiManner, STAYS_LOADED, serveOpenAi } from './serve-openai.ts';

function errorBody(status: number, message: string): unknown {
  return {
    object: 'error',
    message,
    type: status < 500 ? 'BadRequestError' : 'InternalServerError',
    param: null,
    code: status,
  };
}

const DIALECT: ChatDialect = {
  ...OPENAI_DIALECT,
  continuesLastMessage: 'told',
  envelope: () => ({}),
  messageExtras: {},
  finishExtras: () => ({ matched_stop: null }),
  nullUsageBefore: false,
  usage: (plan) => ({
    ...plainUsage(plan),
    prompt_tokens_details: plan.cachedTokens > 0 ? { cached_tokens: plan.cachedTokens } : null,
    reasoning_tokens: plan.reasoningTokens,
  }),
};

const MANNER: OpenAiManner = {
  dialect: DIALECT,
  // Like llama.cpp it does not look at the name.
  pick: ({ shelf }, name) => shelf.find(name) ?? shelf.all()[0] ?? json(500, errorBody(500, 'no model')),
  loading: STAYS_LOADED,
  overflow: (promptTokens, contextLength) =>
    json(
      400,
      errorBody(
        400,
        `The input (${promptTokens} tokens) is longer than the model's context length (${contextLength} tokens).`,
      ),
    ),
  badBody: (message) => json(400, errorBody(400, message)),
  headers: () => ({}),
  honoursBase64: true,
};

function get({ request, shelf }: Exchange): Answer | null {
  switch (request.path) {
    case '/health':
      return text(200, '');
    case '/get_model_info':
      return json(200, {
        model_path: shelf.all()[0]?.spec.id ?? '',
        tokenizer_path: shelf.all()[0]?.spec.id ?? '',
        is_generation: true,
      });
    case '/v1/models': {
      const data = shelf.all().map(({ spec }) => ({
        ...(modelList([spec.id], { owned_by: 'sglang' })['data'] as object[])[0],
        root: spec.id,
        max_model_len: spec.contextLength ?? 8192,
      }));
      return json(200, { object: 'list', data });
    }
    default:
      return null;
  }
}

export const sglangWire: Wire = {
  kind: 'sglang',
  defaults: {},
  basePath: '',
  headers: { server: 'uvicorn' },
  isInference: isOpenAiInference,
  errorBody,
  refuseStranger: (exchange, apiKey) =>
    exchange.request.path === '/health' ? null : refuseWithoutBearer(exchange, apiKey),
  answer: (exchange) => {
    const { method, path } = exchange.request;
    if (method === 'GET') return get(exchange) ?? json(404, { detail: 'Not Found' });
    const served = method === 'POST' && path.startsWith('/v1/') ? serveOpenAi(exchange, path.slice(4), MANNER) : null;
    return served ?? json(404, { detail: 'Not Found' });
  },
};
