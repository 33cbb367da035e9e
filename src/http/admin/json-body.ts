import type { Context, MiddlewareHandler } from 'hono';
import { checkShape, JsonShapeError } from '../../core/json-patch.ts';
import { addressSender } from '../body-clock.ts';
import { HttpError } from '../http-error.ts';
import type { BodyReader } from '../read-body.ts';
import { AdminError } from './error-envelope.ts';
import { requestOriginOf } from './origin.ts';

declare module 'hono' {
  interface ContextVariableMap {
    /** Set before any route is reached. */
    bodies: BodyReader;
  }
}

/** No body of the control plane may be longer, but a question as long as a request. */
const MAX_BODY_BYTES = 64 * 1024;
const SHAPE = { maxDepth: 64, maxKeys: 10_000 };

/** For what may come without a body. */
export const smallBody: MiddlewareHandler = async (context, next) => {
  const { raw } = context.req;
  if (raw.body !== null) {
    const bytes = await read(raw, context);
    checkNesting(bytes);
    context.req.raw = new Request(raw, { body: bytes as Uint8Array<ArrayBuffer> });
  }
  await next();
};

/** What every route with a body goes through first: JSON alone, and not much of it. */
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

/** Never waits longer than a body may take. Rejects with HttpError: 408, 413, 429. */
export function readSmall(request: Request, context: Context): Promise<Uint8Array> {
  const sender = () => addressSender(requestOriginOf(context).peerAddress);
  return context.get('bodies').read(request, MAX_BODY_BYTES, sender);
}

async function read(request: Request, context: Context): Promise<Uint8Array> {
  try {
    return await readSmall(request, context);
  } catch (error) {
    if (error instanceof HttpError && error.status === 413) tooLarge();
    throw error;
  }
}

function checkNesting(bytes: Uint8Array): void {
  try {
    checkShape(bytes, SHAPE);
  } catch (error) {
    if (!(error instanceof JsonShapeError)) throw error;
    const code = error.reason === 'too-many-keys' ? 'json_too_many_keys' : 'json_too_deep';
    throw new AdminError(400, code, `The body is ${error.message}. Send less nested or fewer fields.`);
  }
}

function tooLarge(): never {
  throw new AdminError(413, 'body_too_large', `The body is larger than ${MAX_BODY_BYTES} bytes. Send less.`);
}
