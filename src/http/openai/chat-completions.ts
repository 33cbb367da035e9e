import { authorize, type Endpoint, type EndpointContext, shedLoad } from '../endpoint.ts';
import { toResponse } from '../reply.ts';
import { readChatRequest } from './read-chat-request.ts';

/** POST /v1/chat/completions: credential, overload, body, validation, then the engine. */
export function chatCompletions(context: EndpointContext): Endpoint {
  const { options, parts } = context;
  const { clock, routes } = parts;
  return async (request, id, setIdleTimeout) => {
    authorize(context, request.headers);
    shedLoad(context);
    const inference = await readChatRequest(request, id, {
      maxBodyBytes: options.maxBodyBytes,
      clock,
      routes,
      // A model may think for minutes before its first byte: from here the engine's clocks rule.
      onBody: () => setIdleTimeout(0),
    });
    const result = await parts.engine.serve(inference);
    return toResponse(result, id, parts.tapResponse === null ? null : parts.tapResponse(id), setIdleTimeout);
  };
}
