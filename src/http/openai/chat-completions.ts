import { authorize, type Endpoint, type EndpointContext, shedLoad } from '../endpoint.ts';
import { HttpError } from '../http-error.ts';
import { readBody } from '../read-body.ts';
import { toResponse } from '../reply.ts';
import { parseChatRequest } from './chat-request.ts';

/** POST /v1/chat/completions: credential, overload, body, validation, then the engine. */
export function chatCompletions(context: EndpointContext): Endpoint {
  const { options, parts } = context;
  return async (request, id, setIdleTimeout) => {
    const { headers } = request;
    authorize(context, headers);
    shedLoad(context);
    checkContentType(headers);
    const rawBody = await readBody(request, options.maxBodyBytes);
    // A model may think for minutes before its first byte: from here the engine's clocks rule.
    setIdleTimeout(0);
    const inference = parseChatRequest(rawBody, {
      id,
      headers,
      clientSignal: request.signal,
      acceptedAtMs: parts.clock.nowMs(),
      routes: parts.routes(),
    });
    const result = await parts.engine.serve(inference);
    return toResponse(result, id, parts.tapResponse === null ? null : parts.tapResponse(id), setIdleTimeout);
  };
}

function checkContentType(headers: Headers): void {
  const type = headers.get('content-type');
  // Some clients send none; a form or plain text is a mistake, or a web page that avoids the browser's preflight.
  if (type === null || type === 'application/json' || /^application\/(?:[\w.-]+\+)?json\b/i.test(type)) return;
  const message = `The content type is "${type.slice(0, 100)}"; send application/json.`;
  throw new HttpError(415, 'unsupported_content_type', message);
}
