import type { Server } from 'bun';
import type { Logger } from '../core/logger.ts';
import type { ServedPath } from './access.ts';
import type { Endpoint, EndpointContext, HttpServerOptions, HttpServerParts } from './endpoint.ts';
import { httpErrorReply } from './error-reply.ts';
import { createGuard } from './guard.ts';
import { HttpError } from './http-error.ts';
import { chatCompletions } from './openai/chat-completions.ts';
import { modelList, oneModel } from './openai/model-endpoints.ts';
import { errorResponse } from './reply.ts';
import { requestId } from './request-id.ts';
import { admin, health, metrics, ready, root } from './service-endpoints.ts';
import { unknownRoute } from './unknown-route.ts';

export interface HttpServer {
  readonly port: number;
  readonly url: string;
  /** Not ready and not listening any more; running requests go on. */
  drain(): void;
  /** Requests that have not ended. */
  readonly running: () => number;
  /** Closes what is left. */
  close(): Promise<void>;
}

/** Null: the connection is gone. */
type AddressOf = (request: Request, server: Server<undefined>) => string | null;
type BunHandler = (request: Request, server: Server<undefined>) => Promise<Response>;

/**
 * Bun closes a connection that is silent for this long; inference requests lift it once their body is read. A first
 * request's headers must be whole within 10 s whatever this says, a later one's within this, however they are dripped
 * (measured, Bun 1.4.5): headers need no clock of ours. Bodies do (body-clock.ts).
 */
const IDLE_TIMEOUT_S = 30;
/**
 * How long a client that was refused may go on with a body that nobody reads. To close at once would cost many of
 * them the answer: they notice the closed connection first.
 */
const LINGER_S = 5;

/** The data plane's routes. What all of them share is in `shared`; each endpoint has its own file. */
export function startHttpServer(options: HttpServerOptions, parts: HttpServerParts): HttpServer {
  let draining = false;
  const context: EndpointContext = { options, parts, startedAtMs: parts.clock.nowMs(), isDraining: () => draining };
  const guard = createGuard(options);
  const addressOf: AddressOf = (request, from) => {
    const peer = from.requestIP(request);
    return peer === null ? null : parts.clientAddress(peer.address, request.headers);
  };
  const common = { guard, addressOf, logger: parts.logger };
  const route = (endpoint: Endpoint): BunHandler => shared(withRequestId(endpoint), common);
  const control = route(admin(context));
  const routes: Readonly<
    Record<ServedPath, BunHandler | Readonly<Partial<Record<'GET' | 'HEAD' | 'POST', BunHandler>>>>
  > = {
    '/v1/chat/completions': { POST: shared(chatCompletions(context), common) },
    '/v1/models': { GET: route(modelList(context)) },
    '/v1/models/*': { GET: route(oneModel(context)) },
    '/health': { GET: route(health(context)), HEAD: route(health(context)) },
    '/ready': { GET: route(ready(context)), HEAD: route(ready(context)) },
    '/metrics': { GET: route(metrics(context)) },
    '/': { GET: route(root(context)) },
    '/admin/*': control,
    '/openapi.json': control,
    '/docs': control,
    '/docs/*': control,
    '/login': control,
    '/login/*': control,
  };
  const server = Bun.serve({
    hostname: options.host,
    port: options.port,
    idleTimeout: IDLE_TIMEOUT_S,
    // Ours answers in OpenAI's envelope; Bun's own limit would answer an empty 413 first.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    routes,
    fetch: route((request) => {
      throw unknownRoute(request);
    }),
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

/** Nobody reads the rest of this body (faults L-30): the socket drops it, and the connection is closed soon. */
function lingerOverUnread(request: Request, server: Server<undefined>): void {
  if (request.bodyUsed) return;
  const length = request.headers.get('content-length');
  const hasBody = length === null ? request.headers.has('transfer-encoding') : length !== '0';
  if (hasBody) server.timeout(request, LINGER_S);
}

/** For endpoints that do not name the request themselves: only the busiest one does, since to look again costs as much. */
function withRequestId(endpoint: Endpoint): Endpoint {
  return async (request, id, setIdleTimeout, from) => {
    const response = await endpoint(request, id, setIdleTimeout, from);
    if (!response.headers.has('x-request-id')) response.headers.set('x-request-id', id);
    return response;
  };
}

interface Common {
  readonly guard: (headers: Headers) => void;
  readonly addressOf: AddressOf;
  readonly logger: Logger;
}

/** A request's first stages, the same for every endpoint: id and guard. No error escapes it. */
function shared(endpoint: Endpoint, { guard, addressOf, logger }: Common): BunHandler {
  return async (request, server) => {
    const { headers } = request;
    const id = requestId(headers);
    try {
      guard(headers);
      const response = await endpoint(
        request,
        id,
        (seconds) => server.timeout(request, seconds),
        () => ({ requestId: id, peerAddress: addressOf(request, server) }),
      );
      if (response.status >= 400) lingerOverUnread(request, server);
      return response;
    } catch (error) {
      if (error instanceof HttpError) {
        lingerOverUnread(request, server);
        return errorResponse(httpErrorReply(error), id);
      }
      // A client that left while its body was read: nobody is there to answer.
      if (request.signal.aborted) return new Response(null, { status: 499 });
      const stack = error instanceof Error ? error.stack : null;
      logger.error({ requestId: id, error: String(error), stack }, 'request failed');
      const internal = new HttpError(500, 'internal_error', 'The gateway failed at this request; its log says why.');
      return errorResponse(httpErrorReply(internal), id);
    }
  };
}
