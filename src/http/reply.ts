import type { UpstreamError } from '../core/failure.ts';
import { asUpstreamError } from '../router/attempt.ts';
import type { ServedStream } from '../router/committed-stream.ts';
import type { ServeResult } from '../router/serve.ts';
import { answerHeaders } from './answer-headers.ts';
import type { ResponseTap, SetIdleTimeout } from './connection.ts';
import { type ErrorReply, errorBodyOf, exhaustedReply, noRouteReply } from './error-reply.ts';

const encoder = new TextEncoder();
const DONE = encoder.encode('data: [DONE]\n\n');

/** How soon the connection of a client that stopped reading is closed, once it has been given up. */
const CLOSE_STALLED_S = 1;

/** What the engine decided → the HTTP reply. */
export function toResponse(
  result: ServeResult,
  requestId: string,
  tap: ResponseTap | null,
  setIdleTimeout: SetIdleTimeout,
): Response {
  switch (result.kind) {
    case 'whole':
      tap?.write(result.bytes);
      tap?.end();
      // The bytes of a reply are never in shared memory; the DOM types cannot know.
      return new Response(result.bytes as Uint8Array<ArrayBuffer>, {
        headers: answerHeaders(result.by, requestId, 'json'),
      });
    case 'stream':
      return new Response(toBody(result.stream, tap, setIdleTimeout), {
        headers: answerHeaders(result.by, requestId, 'events'),
      });
    case 'refused':
      return errorResponse(noRouteReply(result.noRoute), requestId);
    case 'exhausted':
      return errorResponse(exhaustedReply(result.error, result.attempts), requestId);
    case 'abandoned':
      // Nobody is there to read it; the status is what nginx logs for the same thing.
      return new Response(null, { status: 499, headers: { 'x-request-id': requestId } });
  }
}

export function errorResponse(reply: ErrorReply, requestId: string): Response {
  return new Response(JSON.stringify(reply.body), {
    status: reply.status,
    headers: { 'content-type': 'application/json', 'x-request-id': requestId, ...reply.headers },
  });
}

/**
 * Pulled by the client's socket: the upstream is read only as fast as the client reads. A stream that breaks ends
 * with a typed error event and without the end marker, so that no SDK takes it for a finished answer.
 */
function toBody(
  stream: ServedStream,
  tap: ResponseTap | null,
  setIdleTimeout: SetIdleTimeout,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        stream.onStall = () => {
          controller.error(new Error('the client stopped reading'));
          // Bun closes a connection that takes nothing only when its idle time is over.
          setIdleTimeout(CLOSE_STALLED_S);
        };
      },
      async pull(controller) {
        try {
          let bytes = await stream.next();
          while (bytes !== null && bytes.length === 0) bytes = await stream.next();
          if (bytes !== null) {
            tap?.write(bytes);
            controller.enqueue(bytes);
            return;
          }
          controller.enqueue(DONE);
        } catch (thrown) {
          // Harmless where the stream has ended; frees its slot where it has not.
          stream.cancel();
          controller.enqueue(errorEvent(asUpstreamError(thrown)));
        }
        tap?.end();
        controller.close();
      },
      cancel() {
        tap?.end();
        stream.cancel();
      },
    },
    { highWaterMark: 0 },
  );
}

function errorEvent(error: UpstreamError): Uint8Array {
  return encoder.encode(`data: ${JSON.stringify(errorBodyOf(error))}\n\n`);
}
