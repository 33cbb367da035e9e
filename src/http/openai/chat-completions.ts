import type { InferenceRequest } from '../../core/request.ts';
import { authorize, type Endpoint, type EndpointContext, refusalError, shedLoad } from '../endpoint.ts';
import { toResponse } from '../reply.ts';
import { readChatRequest } from './read-chat-request.ts';

const NOT_ALLOWED = 403;

/** POST /v1/chat/completions: credential, overload, body, validation, what the caller may have, then the engine. */
export function chatCompletions(context: EndpointContext): Endpoint {
  const { options, parts } = context;
  const { clock, routes } = parts;
  return async (request, id, setIdleTimeout, from) => {
    const caller = authorize(context, request.headers, from);
    shedLoad(context);
    const read = await readChatRequest(request, id, caller, from, {
      bodies: parts.bodies,
      maxBodyBytes: options.maxBodyBytes,
      clock,
      routes,
      // A model may think for minutes before its first byte: from here the engine's clocks rule.
      onBody: () => setIdleTimeout(0),
    });
    const gated = parts.admitRequest(read, from);
    if (!gated.ok) throw refusalError(gated.refusal);
    const inference = gated.request;
    const result = await served(context, inference);
    if (result.kind === 'refused' && result.noRoute.status === NOT_ALLOWED) {
      parts.noteNotAllowed(inference, result.noRoute, from);
    }
    const response = toResponse(result, id, parts.tapResponse?.(id, caller) ?? null, setIdleTimeout);
    tellLimits(response, inference);
    return response;
  };
}

function tellLimits({ headers }: Response, { rateLease }: InferenceRequest): void {
  if (rateLease === null) return;
  const told = rateLease.headers();
  for (const name in told) headers.set(name, told[name] as string);
}

/** The outcome of a request ends its lease; where the engine itself fails there is none. */
async function served({ parts }: EndpointContext, inference: InferenceRequest) {
  try {
    return await parts.engine.serve(inference);
  } catch (error) {
    inference.rateLease?.release();
    throw error;
  }
}
