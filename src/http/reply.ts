import type { UpstreamError } from '../core/failure.ts';
import { asUpstreamError } from '../router/attempt.ts';
import type { ServedStream } from '../router/committed-stream.ts';
import type { AnsweredBy, ServeResult } from '../router/serve.ts';
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
        headers: answerHeaders(result.by, requestId, 'application/json'),
      });
    case 'stream': {
      const headers = answerHeaders(result.by, requestId, 'text/event-stream; charset=utf-8');
      headers['cache-control'] = 'no-cache';
      // Tells nginx not to collect the events.
      headers['x-accel-buffering'] = 'no';
      return new Response(toBody(result.stream, tap, setIdleTimeout), { headers });
    }
    case 'refused':
      return errorResponse(noRouteReply(result.noRoute), requestId);
    case 'exhausted':
      return errorResponse(exhaustedReply(result.error, result.attempts), requestId);
    case 'abandoned':
      // Nobody is there to read it; the status is what nginx logs for the same thing.
      return new Response(null, { status: 499 });
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

function answerHeaders(by: AnsweredBy, requestId: string, contentType: string): Record<string, string> {
  const { attempt } = by;
  return {
    'content-type': contentType,
    'x-request-id': requestId,
    'x-swarmrouter-target': attempt.targetId,
    'x-swarmrouter-provider': attempt.adapterKind,
    'x-swarmrouter-place': attempt.place,
    'x-swarmrouter-model': headerText(by.model === '' ? attempt.model : by.model),
    'x-swarmrouter-attempts': String(by.attempts),
    'x-swarmrouter-reason': headerText(attempt.reason),
    ...(attempt.promptCut === true ? { 'x-swarmrouter-prompt-cut': 'true' } : {}),
  };
}

/** Texts that were found fit for a header: the same few come with every request. */
const fitForHeader = new Set<string>();
const MAX_KNOWN_TEXTS = 1_000;
/** Clients refuse replies with long headers (Node: 16 KB for all of them). */
const MAX_HEADER_TEXT = 256;

/** Model names come from clients and servers: only printable ASCII may stand in a header. */
function headerText(whole: string): string {
  if (fitForHeader.has(whole)) return whole;
  const text = whole.length > MAX_HEADER_TEXT ? `${whole.slice(0, MAX_HEADER_TEXT)}...` : whole;
  if (!/^[\x20-\x7e]*$/.test(text)) return text.replaceAll(/[^\x20-\x7e]/g, '?');
  if (fitForHeader.size < MAX_KNOWN_TEXTS && text === whole) fitForHeader.add(text);
  return text;
}
