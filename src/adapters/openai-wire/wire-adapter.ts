import type { AdapterTools, ProviderAdapter, UpstreamCall, UpstreamReply } from '../../core/adapter.ts';
import type { Cancellation } from '../../core/cancellation.ts';
import type { Deadlines } from '../../core/deadlines.ts';
import { FAILURE_RULES, UpstreamError } from '../../core/failure.ts';
import type { Operation } from '../../core/request.ts';
import type { Target, TargetClocks, TargetSnapshot } from '../../core/target.ts';
import { AttemptWatch } from '../attempt-watch.ts';
import type { Transport, TransportReply } from '../transport.ts';
import { assembleReply, type WholeManner } from './assemble.ts';
import { CallHeads, type HeadMaker } from './call-head.ts';
import { normaliseError } from './errors.ts';
import { checkReply, MAX_REPLY_BYTES, ReplyAsStream } from './reply.ts';
import { type AskFor, bodyFor, type RequestRules, streamsFaithfully } from './request.ts';
import { retryAfterMs } from './retry-after.ts';
import { WireStream } from './stream.ts';
import type { TokenLimitField } from './within-terms.ts';

/** What every adapter works with. */
export interface WireTools extends AdapterTools {
  readonly transport: Transport;
  /** One timer for the clocks of all attempts. */
  readonly deadlines: Deadlines;
}

/** One vendor's differences from the shared OpenAI wire. */
export interface WireVendor extends HeadMaker {
  readonly defaultSlots: number;
  readonly finishesPrompt: boolean;
  readonly countsOnlyRead?: boolean;
  readonly loadsOnDemand: boolean;
  readonly modelsInMemory: number | null;
  readonly rules: RequestRules;
  readonly whole: WholeManner;
  /** What it calls the most tokens of an answer where the gateway has to set one. Default `max_tokens`, which nearly all know. */
  tokenLimitField?(target: Target, model: string): TokenLimitField;
  probe(target: Target, signal: AbortSignal, tools: WireTools): Promise<TargetSnapshot>;
}

const CHAT_ONLY: ReadonlySet<Operation> = new Set<Operation>(['chat']);
/** An error body is read up to here; its message is cut much shorter. */
const MAX_ERROR_BYTES = 1024 * 1024;

export function createWireAdapter(vendor: WireVendor, tools: WireTools): ProviderAdapter {
  const heads = new CallHeads(vendor);
  return {
    kind: vendor.kind,
    operations: CHAT_ONLY,
    defaultSlots: vendor.defaultSlots,
    finishesPrompt: vendor.finishesPrompt,
    countsOnlyRead: vendor.countsOnlyRead ?? false,
    loadsOnDemand: vendor.loadsOnDemand,
    modelsInMemory: vendor.modelsInMemory,
    continuesAnswers: vendor.rules.continuation !== 'no',
    call: (call, cancellation) => callUpstream(vendor, heads, tools, call, cancellation),
    probe: (target, signal) => vendor.probe(target, signal, tools),
  };
}

async function callUpstream(
  vendor: WireVendor,
  heads: CallHeads,
  tools: WireTools,
  call: UpstreamCall,
  cancellation: Cancellation,
): Promise<UpstreamReply> {
  const { target, request, model } = call;
  const ask = askFor(call);
  // First, as a name that no URL can hold ends it here, before any clock runs.
  const url = heads.url(target, model);
  const watch = new AttemptWatch(tools.clock, tools.deadlines, cancellation);
  startClocks(watch, call, ask);
  const reply = await tools.transport.open(
    {
      target,
      method: 'POST',
      url,
      headers: heads.headers(target, request),
      body: bodyFor(call, ask, vendor.rules, vendor.tokenLimitField?.(target, model) ?? 'max_tokens'),
    },
    watch,
  );
  watch.stop('firstByte');
  try {
    if (reply.status < 200 || reply.status > 299) throw await errorOf(reply, target, tools.clock.wallMs());
    return await readReply(vendor, reply, call, ask, watch);
  } catch (error) {
    // Not the watch's cause: an error reply whose body was given up as too long is judged by its status all the same.
    const cause = error instanceof UpstreamError ? error : (watch.cause ?? unexpected(target.id, error));
    watch.abort(cause);
    throw cause;
  }
}

function askFor({ target, request }: UpstreamCall): AskFor {
  if (request.stream) return 'stream';
  return target.assembleWholeReplies && target.place === 'local' && streamsFaithfully(request.body)
    ? 'assembled'
    : 'whole';
}

/**
 * A local server says nothing of a whole reply until it is finished, so for those only the caller's request
 * clock counts; a cloud provider answers for its own queue and gets the first-byte clock.
 */
function startClocks(watch: AttemptWatch, { target, modelLoaded }: UpstreamCall, ask: AskFor): void {
  const { clocks, place } = target;
  const fromMs = watch.startedAtMs;
  if (ask === 'whole') {
    if (place === 'cloud') watch.start('firstByte', clocks.firstByteMs, fromMs);
    return;
  }
  watch.start('firstByte', modelLoaded ? clocks.firstByteMs : clocks.warmupMs, fromMs);
  watch.start('firstToken', modelLoaded ? clocks.firstTokenMs : clocks.warmupMs, fromMs);
  watch.start('total', clocks.streamMs, fromMs);
}

/** It was asked for a whole reply and streams all the same (faults F-18): from here the clocks of streams count. */
function startStreamClocks(watch: AttemptWatch, clocks: TargetClocks): void {
  watch.start('firstToken', clocks.firstTokenMs, watch.nowMs());
  watch.start('total', clocks.streamMs, watch.nowMs());
}

async function readReply(
  vendor: WireVendor,
  reply: TransportReply,
  call: UpstreamCall,
  ask: AskFor,
  watch: AttemptWatch,
): Promise<UpstreamReply> {
  const { target, request } = call;
  const where = target.id;
  const form = statedForm(reply, where) ?? (await sniffForm(reply, where));
  if (form === 'events') {
    if (ask === 'whole') startStreamClocks(watch, target.clocks);
    const context = { body: reply.body, watch, clocks: target.clocks, where };
    return request.stream
      ? new WireStream(context, request.includeUsage)
      : await assembleReply(context, vendor.whole, call.onFirstContent);
  }
  const bytes = await reply.body.readAll(MAX_REPLY_BYTES, target.place === 'cloud' ? target.clocks.idleMs : null);
  watch.dispose();
  const checked = checkReply(bytes, reply.status, where);
  return request.stream ? new ReplyAsStream(checked, request.includeUsage) : checked.whole;
}

type Form = 'events' | 'json';

/** The reply's form by its content type; null when that says nothing. */
function statedForm({ headers }: TransportReply, where: string): Form | null {
  const type = headers.get('content-type');
  if (type === null) return null;
  if (type.startsWith('application/json')) return 'json';
  if (type.startsWith('text/event-stream')) return 'events';
  if (type.startsWith('text/html')) {
    throw new UpstreamError('malformed', `${where} answered with a web page, not with a completion`);
  }
  return null;
}

/** The reply's form by its first bytes. */
async function sniffForm({ headers, body }: TransportReply, where: string): Promise<Form> {
  const first = await body.read();
  if (first === null) throw new UpstreamError('malformed', `${where} sent an empty reply`);
  body.unread(first);
  const begin = new TextDecoder().decode(first.subarray(0, 64)).trimStart();
  if (begin.startsWith('{')) return 'json';
  if (/^(data|event|id|retry)?:/.test(begin)) return 'events';
  const type = headers.get('content-type') ?? 'missing';
  throw new UpstreamError('malformed', `${where} sent neither JSON nor a stream of events (content-type ${type})`);
}

/** Reads an error reply and classifies it; a body that cannot be read leaves the status to decide. */
export async function errorOf(reply: TransportReply, target: Target, wallMs: number): Promise<UpstreamError> {
  const read = await reply.body.readAll(MAX_ERROR_BYTES, target.clocks.idleMs).catch((error: UpstreamError) => error);
  const unread = read instanceof UpstreamError ? read : null;
  // The caller left or a clock ran out: that counts, not the status.
  if (unread?.kind === 'cancelled' || unread?.kind === 'timeout') throw unread;
  const text = read instanceof UpstreamError ? '' : new TextDecoder().decode(read);
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {
    // Not JSON: a proxy's page or plain text, which the normaliser takes as it is.
  }
  const error = normaliseError({
    status: reply.status,
    retryAfterMs: retryAfterMs(reply.headers, wallMs),
    body,
    where: target.id,
  });
  // Whether the request is wrong, or only too long for this one server, was lost with the words: another may know.
  return unread !== null && !FAILURE_RULES[error.kind].tryNext ? unread : error;
}

function unexpected(where: string, error: unknown): UpstreamError {
  return new UpstreamError('failed', `calling ${where} failed`, { cause: error });
}
