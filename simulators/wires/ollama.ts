import { type ChatDialect, OPENAI_DIALECT, plainUsage } from '../generation/chat-dialect.ts';
import { hash } from '../generation/chat-plan.ts';
import { type Answer, json, text } from '../server/answer.ts';
import { type Exchange, isOpenAiInference, type Wire } from '../server/exchange.ts';
import type { ShelvedModel } from '../server/model-shelf.ts';
import { refuseWithoutBearer } from './openai-compatible.ts';
import { modelList, type OpenAiManner, serveOpenAi } from './serve-openai.ts';

const KEEP_ALIVE_MS = 300_000;

const DIALECT: ChatDialect = {
  ...OPENAI_DIALECT,
  continuesLastMessage: 'always',
  reasoningField: 'reasoning',
  envelope: () => ({ system_fingerprint: 'fp_ollama' }),
  messageExtras: {},
  choiceExtras: {},
  toolCalls: 'whole',
  honoursChoiceCount: false,
  nullUsageBefore: false,
  usage: plainUsage,
};

function errorBody(status: number, message: string): unknown {
  const type = status === 404 ? 'not_found_error' : status < 500 ? 'invalid_request_error' : 'api_error';
  return { error: { message, type, param: null, code: null } };
}

function notFound(name: string): string {
  return `model "${name}" not found, try pulling it first`;
}

/** `model` and `model:latest` are the same. */
function find({ shelf }: Exchange, name: string): ShelvedModel | null {
  return shelf.find(name) ?? shelf.find(`${name}:latest`) ?? shelf.find(name.replace(/:latest$/, ''));
}

const MANNER: OpenAiManner = {
  dialect: DIALECT,
  pick: (exchange, name) => find(exchange, name) ?? json(404, errorBody(404, notFound(name))),
  loading: { keep: 3, counted: 'all', whenBusy: 'waits-for-idle', loadsCopies: false },
  overflow: (promptTokens, contextLength) =>
    json(
      400,
      errorBody(
        400,
        `the input length exceeds the context length (prompt ${promptTokens} tokens, context ${contextLength})`,
      ),
    ),
  badBody: (message) => json(400, errorBody(400, message)),
  headers: () => ({}),
  honoursBase64: true,
};

function details() {
  return {
    format: 'gguf',
    family: 'simulated',
    families: ['simulated'],
    parameter_size: '7B',
    quantization_level: 'Q4_K_M',
  };
}

function digest({ spec }: ShelvedModel): string {
  return hash(spec.id).toString(16).padStart(8, '0').repeat(8);
}

function capabilities({ spec }: ShelvedModel): string[] {
  return spec.kind === 'embedding'
    ? ['embedding']
    : ['completion', 'tools', ...(spec.vision === false ? [] : ['vision']), 'thinking'];
}

function pulled(model: ShelvedModel) {
  const { id } = model.spec;
  const modified = '2026-01-01T00:00:00Z';
  return {
    name: id,
    model: id,
    modified_at: modified,
    size: 4_000_000_000,
    digest: digest(model),
    details: details(),
    capabilities: capabilities(model),
  };
}

function running(model: ShelvedModel) {
  const { id, contextLength = 8192, statesContextLength = true } = model.spec;
  const expires = new Date(Date.now() + KEEP_ALIVE_MS).toISOString();
  return {
    name: id,
    model: id,
    size: 4_000_000_000,
    digest: digest(model),
    details: details(),
    expires_at: expires,
    size_vram: 4_000_000_000,
    ...(statesContextLength ? { context_length: contextLength } : {}),
  };
}

function show(exchange: Exchange): Answer {
  const name = String(exchange.body?.['model'] ?? exchange.body?.['name'] ?? '');
  const model = find(exchange, name);
  if (model === null) return json(404, { error: `model '${name}' not found` });
  const { contextLength = 8192, setsContextLength = false } = model.spec;
  return json(200, {
    parameters: setsContextLength ? `num_ctx                        ${contextLength}` : '',
    template: '{{ .Prompt }}',
    details: details(),
    model_info: {
      'general.architecture': 'simulated',
      'simulated.context_length': model.spec.maxContextLength ?? 131_072,
    },
    capabilities: capabilities(model),
  });
}

function get({ request, shelf }: Exchange): Answer | null {
  switch (request.path) {
    case '/':
      return text(200, 'Ollama is running');
    case '/api/version':
      return json(200, { version: '0.13.5' });
    case '/api/tags':
      return json(200, { models: shelf.all().map(pulled) });
    case '/api/ps':
      return json(200, { models: shelf.loaded().map(running) });
    case '/v1/models':
      return json(
        200,
        modelList(
          shelf.all().map((model) => model.spec.id),
          { owned_by: 'library' },
        ),
      );
    default:
      return null;
  }
}

/** Ollama: `/api/tags` and `/api/ps`, its OpenAI paths, models loaded when named, one request at a time. */
export const ollamaWire: Wire = {
  kind: 'ollama',
  defaults: { slots: 1 },
  basePath: '',
  headers: {},
  isInference: isOpenAiInference,
  errorBody,
  refuseStranger: refuseWithoutBearer,
  answer: (exchange) => {
    const { method, path } = exchange.request;
    if (method === 'GET' || method === 'HEAD') return get(exchange) ?? text(404, '404 page not found');
    if (method === 'POST' && path === '/api/show') return show(exchange);
    const served = method === 'POST' && path.startsWith('/v1/') ? serveOpenAi(exchange, path.slice(4), MANNER) : null;
    return served ?? text(404, '404 page not found');
  },
};
