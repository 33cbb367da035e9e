import type { Context, MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { AdminError } from './error-envelope.ts';

const MAX_BODY_BYTES = 64 * 1024;

/** What every route with a body goes through first: JSON alone, and not much of it. */
/** For what may come without a body. */
export const smallBody: MiddlewareHandler = bodyLimit({ maxSize: MAX_BODY_BYTES, onError: tooLarge });

export const jsonBody: [MiddlewareHandler, MiddlewareHandler] = [jsonOnly(), smallBody];

/** Anything but JSON is refused: a form that a foreign page can send without asking never gets further. */
function jsonOnly(): MiddlewareHandler {
  return async (context, next) => {
    const contentType = context.req.header('content-type') ?? '';
    if (/^application\/json *(;|$)/i.test(contentType.trim())) return next();
    const seen = contentType === '' ? 'missing' : `"${contentType.slice(0, 80)}"`;
    throw new AdminError(415, 'unsupported_media_type', `Content-Type is ${seen}: it should be application/json.`);
  };
}

export async function bodyOf(context: Context): Promise<unknown> {
  try {
    return await context.req.json();
  } catch {
    throw new AdminError(400, 'invalid_json', 'The body is not valid JSON. Send one JSON object in UTF-8.');
  }
}

function tooLarge(): never {
  throw new AdminError(413, 'body_too_large', `The body is larger than ${MAX_BODY_BYTES} bytes. Send less.`);
}
