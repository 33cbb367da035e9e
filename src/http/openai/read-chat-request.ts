import type { Caller } from '../../core/caller.ts';
import type { Clock } from '../../core/clock.ts';
import type { InferenceRequest } from '../../core/request.ts';
import type { Route } from '../../core/route.ts';
import { addressSender, type BodySender } from '../body-clock.ts';
import type { RequestOrigin } from '../connection.ts';
import { HttpError } from '../http-error.ts';
import type { BodyReader } from '../read-body.ts';
import { parseChatRequest } from './chat-request.ts';

export interface ChatRequestReading {
  readonly bodies: BodyReader;
  readonly maxBodyBytes: number;
  readonly clock: Pick<Clock, 'nowMs'>;
  /** What `x-swarmrouter-route` may say. */
  readonly routes: () => ReadonlyMap<string, Route>;
  /** Called once the body has come. */
  readonly onBody?: () => void;
}

/** A chat request as it came over HTTP: content type, body, validation. Throws HttpError for what it refuses. */
export async function readChatRequest(
  request: Request,
  id: string,
  caller: Caller,
  from: () => RequestOrigin,
  { bodies, maxBodyBytes, clock, routes, onBody }: ChatRequestReading,
): Promise<InferenceRequest> {
  const { headers, signal } = request;
  checkContentType(headers);
  const rawBody = await bodies.read(request, maxBodyBytes, () => senderOf(caller, from));
  onBody?.();
  return parseChatRequest(rawBody, {
    id,
    caller,
    headers,
    clientSignal: signal,
    acceptedAtMs: clock.nowMs(),
    routes: routes(),
  });
}

function senderOf({ keyId }: Caller, from: () => RequestOrigin): BodySender {
  return keyId === null ? addressSender(from().peerAddress) : { id: `key ${keyId}`, by: 'key' };
}

function checkContentType(headers: Headers): void {
  const type = headers.get('content-type');
  // Some clients send none; a form or plain text is a mistake, or a web page that avoids the browser's preflight.
  if (type === null || type === 'application/json' || /^application\/(?:[\w.-]+\+)?json\b/i.test(type)) return;
  const message = `The content type is "${type.slice(0, 100)}"; send application/json.`;
  throw new HttpError(415, 'unsupported_content_type', message);
}
