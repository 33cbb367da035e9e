import { type ChatDialect, OPENAI_DIALECT, plainUsage } from '../generation/chat-dialect.ts';
import { type Answer, json, text } from '../server/answer.ts';
import { type Exchange, isOpenAiInference, type Wire } from '../server/exchange.ts';
import { refuseWithoutBearer } from './openai-compatible.ts';
import { modelList, type OpenAiManner, STAYS_LOADED, serveOpenAi } from './serve-openai.ts';

const TYPES: Readonly<Record<number, string>> = { 400: 'BadRequestError', 401: 'Unauthorized', 404: 'NotFoundError' };

function errorBody(status: number, message: string): unknown {
  return { error: { message, type: TYPES[status] ?? 'InternalServerError', param: null, code: status } };
}

const DIALECT: ChatDialect = {
  ...OPENAI_DIALECT,
  continuesLastMessage: 'told',
  envelope: () => ({}),
  messageExtras: {},
  finishExtras: () => ({ stop_reason: null }),
  nullUsageBefore: false,
  usage: (plan) => ({ ...plainUsage(plan), prompt_tokens_details: { cached_tokens: plan.cachedTokens } }),
};

const MANNER: OpenAiManner = {
  dialect: DIALECT,
  pick: ({ shelf }, name) => shelf.find(name) ?? json(404, errorBody(404, `The model \`${name}\` does not exist.`)),
  loading: STAYS_LOADED,
  overflow: (promptTokens, contextLength) =>
    json(
      400,
      errorBody(
        400,
        `This model's maximum context length is ${contextLength} tokens. However, your request has ${promptTokens} input tokens. Please reduce the length of the input messages.`,
      ),
    ),
  badBody: (message) => json(400, errorBody(400, message)),
  headers: () => ({}),
  honoursBase64: true,
};

function models({ shelf }: Exchange): Answer {
  const data = shelf.all().map(({ spec }) => ({
    ...(modelList([spec.id], { owned_by: 'vllm' })['data'] as object[])[0],
    root: spec.id,
    parent: null,
    max_model_len: spec.contextLength ?? 8192,
  }));
  return json(200, { object: 'list', data });
}

function metrics({ shelf }: Exchange): Answer {
  const lines = shelf.all().flatMap(({ spec, slots }) => {
    const labels = `{engine="0",model_name="${spec.id}"}`;
    return [
      `vllm:num_requests_running${labels} ${slots.running}`,
      `vllm:num_requests_waiting${labels} ${slots.waiting}`,
      `vllm:kv_cache_usage_perc${labels} ${Math.min(1, slots.running / slots.capacity)}`,
    ];
  });
  return text(200, `${lines.join('\n')}\n`, 'text/plain; version=0.0.4');
}

function get(exchange: Exchange): Answer | null {
  switch (exchange.request.path) {
    case '/health':
      return text(200, '');
    case '/version':
      return json(200, { version: '0.32.0' });
    case '/v1/models':
      return models(exchange);
    case '/metrics':
      return metrics(exchange);
    default:
      return null;
  }
}

export const vllmWire: Wire = {
  kind: 'vllm',
  defaults: {},
  basePath: '',
  headers: { server: 'uvicorn' },
  isInference: isOpenAiInference,
  errorBody,
  refuseStranger: (exchange, apiKey) =>
    exchange.request.path.startsWith('/v1/') ? refuseWithoutBearer(exchange, apiKey) : null,
  answer: (exchange) => {
    const { method, path } = exchange.request;
    if (method === 'GET') return get(exchange) ?? json(404, { detail: 'Not Found' });
    const served = method === 'POST' && path.startsWith('/v1/') ? serveOpenAi(exchange, path.slice(4), MANNER) : null;
    return served ?? json(404, { detail: 'Not Found' });
  },
};
