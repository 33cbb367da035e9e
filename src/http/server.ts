import type { Server } from 'bun';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { TargetView } from '../core/target-view.ts';
import type { Engine } from '../router/serve.ts';
import { httpErrorReply } from './error-reply.ts';
import { createGuard } from './guard.ts';
import { healthReport } from './health.ts';
import { HttpError } from './http-error.ts';
import { parseChatRequest } from './openai/chat-request.ts';
import { findModel, listModels } from './openai/models.ts';
import { readBody } from './read-body.ts';
import { errorResponse, type ResponseTap, toResponse } from './reply.ts';
import { requestId } from './request-id.ts';

export interface HttpServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly loopback: boolean;
  readonly allowedHosts: readonly string[];
  readonly maxBodyBytes: number;
  readonly version: string;
  readonly modelAliases: ReadonlyMap<string, string>;
  readonly strategies: ReadonlySet<string>;
}

export interface HttpServerParts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Credential → may it in? */
  readonly admit: (headers: Headers) => { readonly ok: true } | { readonly ok: false; readonly message: string };
  readonly targets: () => readonly TargetView[];
  /** True once every target of the start has been probed. */
  readonly probed: () => boolean;
  /** Resolves then, or when that takes too long. */
  readonly firstRound: () => Promise<void>;
  readonly metricsText: () => Promise<string>;
  /** Sees the bytes of each reply when replies are logged; null: they are not. */
  readonly tapResponse: ((requestId: string) => ResponseTap | null) | null;
  /** The control plane, loaded at its first request: it must not slow the start. */
  readonly admin: () => Promise<(request: Request) => Response | Promise<Response>>;
}

export interface HttpServer {
  readonly port: number;
  readonly url: string;
  /** Not ready and not listening any more; running requests go on. */
  drain(): void;
  /** Requests that have not ended. */
  readonly running: () => number;
  /** Stops accepting and closes what is left. */
  close(): Promise<void>;
}

type Handler = (request: Request, id: string, server: Server<undefined>) => Response | Promise<Response>;

/** Bun closes a connection that is silent for this long; inference requests lift it once their body is read. */
const IDLE_TIMEOUT_S = 30;

/** The data plane's routes, and each request's first stages: id, guard, credential, body. */
export function startHttpServer(options: HttpServerOptions, parts: HttpServerParts): HttpServer {
  const startedAtMs = parts.clock.nowMs();
  const createdAtSeconds = Math.floor(parts.clock.wallMs() / 1000);
  const guard = createGuard(options);
  let draining = false;

  const chat: Handler = async (request, id, server) => {
    authorize(request.headers);
    checkContentType(request.headers);
    const rawBody = await readBody(request, options.maxBodyBytes);
    // A model may think for minutes before its first byte: from here the engine's clocks rule.
    server.timeout(request, 0);
    const inference = parseChatRequest(rawBody, {
      id,
      headers: request.headers,
      clientSignal: request.signal,
      acceptedAtMs: parts.clock.nowMs(),
      strategies: options.strategies,
    });
    return toResponse(await parts.engine.serve(inference), id, parts.tapResponse?.(id) ?? null);
  };

  const models = () => listModels(parts.targets(), options.modelAliases, createdAtSeconds);
  const modelList: Handler = async (request) => {
    authorize(request.headers);
    await parts.firstRound();
    return Response.json({ object: 'list', data: models() });
  };
  const oneModel: Handler = async (request) => {
    authorize(request.headers);
    await parts.firstRound();
    const id = new URL(request.url).pathname.slice('/v1/models/'.length);
    return Response.json(findModel(models(), decoded(id)));
  };

  const health: Handler = () =>
    Response.json(healthReport(parts.targets(), options.version, parts.clock.nowMs() - startedAtMs));
  const ready: Handler = () => {
    const reason = unreadyReason();
    return Response.json(reason === null ? { ready: true } : { ready: false, reason }, {
      status: reason === null ? 200 : 503,
    });
  };
  function unreadyReason(): string | null {
    if (draining) return 'shutting down';
    if (!parts.probed()) return 'the first round of probes has not ended';
    const usable = parts.targets().some((view) => view.health === 'up' || view.health === 'warming');
    return usable ? null : 'no target is up';
  }

  const metrics: Handler = async (request) => {
    authorize(request.headers);
    return new Response(await parts.metricsText(), {
      headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
    });
  };
  const root: Handler = () =>
    Response.json({
      service: 'SwarmRouter',
      code_name: 'Waggle',
      version: options.version,
      links: { health: '/health', models: '/v1/models', docs: '/docs', openapi: '/openapi.json', metrics: '/metrics' },
    });
  const admin: Handler = async (request) => (await parts.admin())(request);

  function authorize(headers: Headers): void {
    const admitted = parts.admit(headers);
    if (admitted.ok) return;
    throw new HttpError(401, 'invalid_api_key', admitted.message, { headers: { 'www-authenticate': 'Bearer' } });
  }

  /** What every route shares; no error escapes it. */
  function route(handler: Handler) {
    return async (request: Request, server: Server<undefined>): Promise<Response> => {
      const id = requestId(request.headers);
      try {
        guard(request.headers);
        return await handler(request, id, server);
      } catch (error) {
        if (error instanceof HttpError) return errorResponse(httpErrorReply(error), id);
        // A client that left while its body was read: nobody is there to answer.
        if (request.signal.aborted) return new Response(null, { status: 499 });
        parts.logger.error(
          { requestId: id, error: String(error), stack: error instanceof Error ? error.stack : null },
          'request failed',
        );
        const internal = new HttpError(
          500,
          'internal_error',
          'The gateway failed to handle this request; its log says why.',
        );
        return errorResponse(httpErrorReply(internal), id);
      }
    };
  }

  const notFound: Handler = (request) => {
    throw unknownRoute(request);
  };

  const server = Bun.serve({
    hostname: options.host,
    port: options.port,
    idleTimeout: IDLE_TIMEOUT_S,
    // Ours answers in OpenAI's envelope; Bun's own limit would answer an empty 413 first.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    routes: {
      '/v1/chat/completions': { POST: route(chat) },
      '/v1/models': { GET: route(modelList) },
      '/v1/models/*': { GET: route(oneModel) },
      '/health': { GET: route(health), HEAD: route(health) },
      '/ready': { GET: route(ready), HEAD: route(ready) },
      '/metrics': { GET: route(metrics) },
      '/': { GET: route(root) },
      '/admin/*': route(admin),
      '/openapi.json': route(admin),
      '/docs': route(admin),
      '/docs/*': route(admin),
    },
    fetch: route(notFound),
  });

  return {
    port: server.port ?? options.port,
    url: `http://${options.host.includes(':') ? `[${options.host}]` : options.host}:${server.port}`,
    drain: () => {
      draining = true;
      // Stops listening; what is running goes on.
      void server.stop(false);
    },
    running: () => server.pendingRequests,
    close: () => server.stop(true),
  };
}

function decoded(pathPart: string): string {
  try {
    return decodeURIComponent(pathPart);
  } catch {
    // A stray percent sign: take it as it is, it will not be found.
    return pathPart;
  }
}

function checkContentType(headers: Headers): void {
  const type = headers.get('content-type');
  // Some clients send none; a form or plain text is a mistake, or a web page that avoids the browser's preflight.
  if (type === null || /^application\/(?:[\w.-]+\+)?json\b/i.test(type)) return;
  throw new HttpError(
    415,
    'unsupported_content_type',
    `The content type is "${type.slice(0, 100)}"; send application/json.`,
  );
}

const METHODS: Readonly<Record<string, string>> = {
  '/v1/chat/completions': 'POST',
  '/v1/models': 'GET',
  '/health': 'GET',
  '/ready': 'GET',
  '/metrics': 'GET',
  '/': 'GET',
};

/** 405 for a known path, else 404 that tells where the doors are. */
function unknownRoute(request: Request): HttpError {
  const { pathname } = new URL(request.url);
  const allowed = METHODS[pathname] ?? (pathname.startsWith('/v1/models/') ? 'GET' : undefined);
  if (allowed !== undefined) {
    return new HttpError(
      405,
      'method_not_allowed',
      `${request.method} is not allowed on ${pathname}; use ${allowed}.`,
      {
        headers: { allow: allowed },
      },
    );
  }
  return new HttpError(
    404,
    'unknown_url',
    `Unknown path ${request.method} ${pathname.slice(0, 200)}. The API is under /v1 (POST /v1/chat/completions, GET /v1/models); its description is at /docs.`,
  );
}
