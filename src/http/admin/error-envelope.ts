import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { StoreUnavailable } from '../../core/ledger.ts';
import type { RequestOrigin } from '../connection.ts';
import { httpErrorReply } from '../error-reply.ts';
import { HttpError } from '../http-error.ts';
import { requestOriginOf } from './origin.ts';

/** An answer other than success, in the words of OpenAI's envelope. Its message is meant for the caller. */
export class AdminError extends Error {
  override readonly name = 'AdminError';
  readonly status: 400 | 401 | 403 | 404 | 405 | 409 | 412 | 413 | 415 | 422 | 429 | 500 | 503;
  /** Stable, for programs. */
  readonly code: string;
  /** The field at fault; null: none. */
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: AdminError['status'],
    code: string,
    message: string,
    details: { readonly param?: string | null; readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = details.param ?? null;
    this.headers = details.headers ?? {};
  }
}

/** What may go wrong without anybody having thought of it. */
export interface FailurePorts {
  /** Told of each failure that was not foreseen, to be logged: the reply says nothing of it. */
  failed(error: unknown, from: RequestOrigin): void;
}

/** Any error → its reply. */
export function replyToErrors(ports: FailurePorts): (error: unknown, context: Context) => Response {
  return (error, context) => {
    // A client that left while its body was read: nobody is there to answer.
    const isLeft = context.req.raw.signal.aborted;
    if (!isForeseen(error) && !isLeft) ports.failed(error, requestOriginOf(context));
    return errorReply(error, context);
  };
}

const isForeseen = (error: unknown): boolean => error instanceof HttpError || asAdminError(error) !== UNFORESEEN;

/** Any error → OpenAI's envelope. What was not foreseen shows no detail: it might hold a credential. */
export function errorReply(error: unknown, context: Context): Response {
  if (error instanceof HttpError) return dataPlaneReply(error);
  const known = asAdminError(error);
  for (const [name, value] of Object.entries(known.headers)) context.header(name, value);
  const { message, param, code, status } = known;
  return context.json({ error: { message, type: typeOf(status), param, code } }, status);
}

const UNFORESEEN = new AdminError(
  500,
  'internal_error',
  'The gateway failed while handling this request; it changed nothing more. Its log says why, at the x-request-id of this reply.',
);

/** What the readers of the data plane refuse is refused here in the same words. */
function dataPlaneReply(error: HttpError): Response {
  const { status, body, headers } = httpErrorReply(error);
  return Response.json(body, { status, headers: { ...headers } });
}

function asAdminError(error: unknown): AdminError {
  if (error instanceof AdminError) return error;
  // Thrown by the framework's own body reader, the only thing that throws it here.
  if (error instanceof HTTPException && error.status === 400) {
    return new AdminError(400, 'invalid_json', 'The body is not valid JSON. Send one JSON object in UTF-8.');
  }
  if (error instanceof StoreUnavailable) {
    const message = `The store takes nothing now (${error.kind}); nothing was changed. Ask again; the log and GET /admin/status say more.`;
    return new AdminError(503, 'store_unavailable', message, { headers: { 'retry-after': '1' } });
  }
  return UNFORESEEN;
}

function typeOf(status: AdminError['status']): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}
