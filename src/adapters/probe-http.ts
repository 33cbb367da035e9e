import { UpstreamError } from '../core/failure.ts';
import { checkShape } from '../core/json-patch.ts';
import type { Target } from '../core/target.ts';
import { AttemptWatch } from './attempt-watch.ts';
import { cancellationOf } from './cancellation-of.ts';
import { errorOf, type WireTools } from './openai-wire/wire-adapter.ts';

/** A listing longer than this is no listing. */
const MAX_LISTING_BYTES = 8 * 1024 * 1024;
const LISTING_SHAPE = { maxDepth: 64, maxKeys: 300_000 };

export interface ProbeReply {
  readonly status: number;
  /** The parsed body; undefined when it was no JSON. */
  readonly json: unknown;
  readonly text: string;
}

/** The same with a JSON body, for questions that are asked so. */
export async function probePost(
  tools: WireTools,
  target: Target,
  url: string,
  body: object,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<ProbeReply> {
  const bytes = new TextEncoder().encode(JSON.stringify(body));
  return ask(tools, target, url, { ...headers, 'content-type': 'application/json' }, signal, bytes);
}

/**
 * One GET of a probe. Resolves for 2xx; rejects with UpstreamError otherwise, so that a refused key or a server
 * that is still loading is known by its kind. Unknown-path statuses are in `error.status`.
 */
export async function probeGet(
  tools: WireTools,
  target: Target,
  url: string,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<ProbeReply> {
  return ask(tools, target, url, headers, signal, null);
}

async function ask(
  tools: WireTools,
  target: Target,
  url: string,
  headers: Record<string, string>,
  signal: AbortSignal,
  body: Uint8Array | null,
): Promise<ProbeReply> {
  const watch = new AttemptWatch(tools.clock, tools.deadlines, cancellationOf(signal));
  const { clocks } = target;
  // A probe is a small question: it may take as long as connecting may, and once more for the answer.
  watch.start('firstByte', Math.min(clocks.firstByteMs, clocks.connectMs * 2), watch.startedAtMs);
  watch.start('total', Math.min(clocks.streamMs, clocks.connectMs * 2 + clocks.idleMs), watch.startedAtMs);
  const reply = await tools.transport.open(
    {
      target,
      method: body === null ? 'GET' : 'POST',
      url,
      headers: { ...headers, accept: 'application/json', 'accept-encoding': 'identity' },
      body,
    },
    watch,
  );
  watch.stop('firstByte');
  try {
    if (reply.status < 200 || reply.status > 299) throw await errorOf(reply, target, tools.clock.wallMs());
    const bytes = await reply.body.readAll(MAX_LISTING_BYTES, clocks.idleMs);
    const text = new TextDecoder().decode(bytes);
    watch.dispose();
    return { status: reply.status, json: parsed(bytes, text), text };
  } catch (error) {
    const cause =
      error instanceof UpstreamError ? error : new UpstreamError('failed', 'the probe failed', { cause: error });
    watch.abort(cause);
    throw cause;
  }
}

function parsed(bytes: Uint8Array, text: string): unknown {
  try {
    // A list of a few megabytes may nest so deep, or have so many keys, that parsing it holds everybody up.
    checkShape(bytes, LISTING_SHAPE);
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** True for an error that says: this server has no such path. */
export function isUnknownPath(error: unknown): boolean {
  return error instanceof UpstreamError && (error.status === 404 || error.status === 405 || error.status === 501);
}
