import { createHash } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import { HttpError } from '../http-error.ts';
import { AdminError } from './error-envelope.ts';
import { readSmall } from './json-body.ts';
import type { KeptReply, ReplayBook } from './replay-book.ts';

const IDEMPOTENCY_HEADER = 'idempotency-key';
const REPLAYED_HEADER = 'idempotent-replayed';
const WRITES: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);
const KEY = /^[\x21-\x7e]{1,255}$/;
const MOST_REPLY_BYTES = 64 * 1024;
/** Of a reply, besides its body. What every reply gets anew is not kept, nor are cookies. */
const KEPT_HEADERS = ['content-type', 'etag', 'location'];

/**
 * A write that comes once more with the same `Idempotency-Key` is not done once more: it gets the reply of the first.
 * Comes after it is known who sent it and that they may. What was refused has changed nothing, and is not kept.
 */
export function replayWrites(book: ReplayBook, nowMs: () => number): MiddlewareHandler {
  return async (context, next) => {
    const key = context.req.header(IDEMPOTENCY_HEADER);
    if (key === undefined || !WRITES.has(context.req.method)) return next();
    if (!KEY.test(key)) throw wrongKey();
    const body = await readBody(context);
    if (body === null) return next();
    const name = nameOf(context, key);
    const { organisationId } = context.get('principal');
    const found = book.begin(organisationId, name, fingerprintOf(context, body), nowMs());
    if (found.kind === 'done') return replayed(found.reply);
    if (found.kind === 'running') throw stillRunning();
    if (found.kind === 'other') throw otherRequest();
    let reply: KeptReply | null = null;
    try {
      await next();
      reply = await keptReply(context.res);
    } finally {
      book.end(organisationId, name, reply);
    }
    return undefined;
  };
}

/** Nobody sees what was answered to somebody else, nor to themselves at another door. */
function nameOf(context: Context, key: string): string {
  const { organisationId, kind, id } = context.get('principal');
  return JSON.stringify([organisationId, kind, id, context.req.method, context.req.path, key]);
}

function fingerprintOf(context: Context, body: Uint8Array): string {
  const { search } = new URL(context.req.url);
  const header = (name: string): string => context.req.header(name) ?? '';
  return createHash('sha256')
    .update(JSON.stringify([search, header('content-type'), header('if-match')]))
    .update(body)
    .digest('hex');
}

/** A copy, so that the route can read it too. Null: too long, which its route refuses, or does not mind. */
async function readBody(context: Context): Promise<Uint8Array | null> {
  const { raw } = context.req;
  if (raw.body === null) return new Uint8Array();
  const copy = raw.clone();
  try {
    return await readSmall(copy, context);
  } catch (error) {
    if (!(error instanceof HttpError && error.status === 413)) throw error;
    // One that nobody reads would be held in memory while the route reads the other.
    if (!copy.bodyUsed) void copy.body?.cancel();
    return null;
  }
}

async function keptReply(response: Response): Promise<KeptReply | null> {
  if (!response.ok) return null;
  const body = new Uint8Array(await response.clone().arrayBuffer());
  if (body.length > MOST_REPLY_BYTES) return null;
  const headers = KEPT_HEADERS.flatMap((name) => {
    const value = response.headers.get(name);
    return value === null ? [] : [[name, value] as const];
  });
  return { status: response.status, headers, body };
}

function replayed({ status, headers, body }: KeptReply): Response {
  const all = new Headers([...headers, [REPLAYED_HEADER, 'true']] as [string, string][]);
  return new Response(body.length === 0 ? null : (body as Uint8Array<ArrayBuffer>), { status, headers: all });
}

function wrongKey(): AdminError {
  const message = 'Idempotency-Key must have 1 to 255 visible ASCII characters, for example a UUID.';
  return new AdminError(400, 'invalid_idempotency_key', message, { param: IDEMPOTENCY_HEADER });
}

function stillRunning(): AdminError {
  const message = 'The request with this Idempotency-Key is still under way. Ask again in a moment.';
  return new AdminError(409, 'idempotency_key_in_use', message, {
    param: IDEMPOTENCY_HEADER,
    headers: { 'retry-after': '1' },
  });
}

function otherRequest(): AdminError {
  const message =
    'This Idempotency-Key came with another request (body, query, Content-Type or If-Match) within the last 24 hours. Nothing was changed. Use a new key for a new request.';
  return new AdminError(422, 'idempotency_key_reused', message, { param: IDEMPOTENCY_HEADER });
}
