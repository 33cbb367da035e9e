import { OPENAI_DIALECT } from '../generation/chat-dialect.ts';
import { type Answer, json } from '../server/answer.ts';
import { bearerOf, type Exchange, isOpenAiInference, type Wire } from '../server/exchange.ts';
import { modelList, type OpenAiManner, STAYS_LOADED, serveOpenAi } from './serve-openai.ts';

/** OpenAI's error envelope. */
export function openAiError(status: number, message: string, type: string, code: string | null = null): Answer {
  return json(status, { error: { message, type, param: null, code } });
}

const STATUS_WORDS: Readonly<Record<number, [type: string, code: string | null]>> = {
  400: ['invalid_request_error', null],
  401: ['invalid_request_error', 'invalid_api_key'],
  404: ['invalid_request_error', 'model_not_found'],
  429: ['rate_limit_error', 'rate_limit_exceeded'],
};

export function openAiErrorBody(status: number, message: string): unknown {
  const [type, code] = STATUS_WORDS[status] ?? ['server_error', null];
  return { error: { message, type, param: null, code } };
}

export function openAiOverflow(promptTokens: number, contextLength: number): Answer {
  return openAiError(
    400,
    `This model's maximum context length is ${contextLength} tokens. However, your messages resulted in ${promptTokens} tokens.`,
    'invalid_request_error',
    'context_length_exceeded',
  );
}

export const OPENAI_MANNER: OpenAiManner = {
  dialect: OPENAI_DIALECT,
  pick: ({ shelf }, name) =>
    shelf.find(name) ??
    openAiError(
      404,
      `The model \`${name}\` does not exist or you do not have access to it.`,
      'invalid_request_error',
      'model_not_found',
    ),
  loading: STAYS_LOADED,
  overflow: openAiOverflow,
  badBody: (message) => openAiError(400, message, 'invalid_request_error'),
  headers: () => ({}),
  honoursBase64: true,
};

export function refuseWithoutBearer({ request }: Exchange, apiKey: string): Answer | null {
  if (bearerOf(request) === apiKey) return null;
  return json(401, openAiErrorBody(401, 'Incorrect API key provided.'));
}

/** Answers `/v1/…` as OpenAI does; 404 elsewhere. */
function answer(exchange: Exchange): Answer | Promise<Answer> {
  const { request, shelf } = exchange;
  if (request.method === 'GET' && request.path === '/v1/models') {
    return json(
      200,
      modelList(
        shelf.all().map((model) => model.spec.id),
        { owned_by: 'organization' },
      ),
    );
  }
  const served =
    request.method === 'POST' && request.path.startsWith('/v1/')
      ? serveOpenAi(exchange, request.path.slice('/v1/'.length), OPENAI_MANNER)
      : null;
  return (
    served ??
    openAiError(404, `Invalid URL (${request.method} ${request.path})`, 'invalid_request_error', 'unknown_url')
  );
}

export const openAiCompatibleWire: Wire = {
  kind: 'openai-compatible',
  defaults: {},
  basePath: '/v1',
  headers: {},
  isInference: isOpenAiInference,
  errorBody: openAiErrorBody,
  refuseStranger: refuseWithoutBearer,
  answer,
};
