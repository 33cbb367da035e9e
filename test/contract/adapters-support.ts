import type { StreamReply, UpstreamCall, UpstreamReply, WholeReply } from '../../src/core/adapter.ts';
import { ANYONE } from '../../src/core/caller.ts';
import { UpstreamError } from '../../src/core/failure.ts';
import { NO_PROMPT } from '../../src/core/prompt.ts';
import type { InferenceRequest } from '../../src/core/request.ts';
import type { AdapterKind, Target, TargetClocks } from '../../src/core/target.ts';

export const CLOCKS: TargetClocks = {
  connectMs: 2_000,
  firstByteMs: 5_000,
  firstTokenMs: 5_000,
  idleMs: 5_000,
  warmupMs: 10_000,
  streamMs: 60_000,
  queueMs: null,
};

/** A target as the configuration would make it; clouds and locals differ as they do there. */
export function targetOf(adapterKind: AdapterKind, baseUrl: string, changes: Partial<Target> = {}): Target {
  const cloud = adapterKind === 'openrouter' || adapterKind === 'azure-openai' || adapterKind === 'openai-compatible';
  return {
    id: `${adapterKind}-1`,
    provider: adapterKind,
    adapterKind,
    place: cloud ? 'cloud' : 'local',
    baseUrl,
    apiKey: null,
    source: 'environment',
    optional: false,
    network: 'any',
    maxConcurrent: null,
    clocks: CLOCKS,
    defaultModel: null,
    deployments: new Map(),
    apiVersion: null,
    continuesAnswers: null,
    assembleWholeReplies: !cloud,
    ...changes,
  };
}

export function requestOf(body: Record<string, unknown>): InferenceRequest {
  const options = body['stream_options'] as { include_usage?: boolean } | undefined;
  return {
    id: 'req-1',
    operation: 'chat',
    requestedModel: typeof body['model'] === 'string' ? body['model'] : '',
    stream: body['stream'] === true,
    includeUsage: options?.include_usage === true,
    rawBody: new TextEncoder().encode(JSON.stringify(body)),
    body,
    continues: false,
    fence: { place: null, strictModel: false, route: null, maxFirstTokenMs: null },
    prompt: NO_PROMPT,
    hops: 0,
    traceparent: '00-11111111111111111111111111111111-2222222222222222-01',
    caller: ANYONE,
    rateLease: null,
    clientSignal: new AbortController().signal,
    acceptedAtMs: 0,
  };
}

export const HELLO = [{ role: 'user', content: 'Say hello.' }];

export function callOf(
  target: Target,
  body: Record<string, unknown>,
  changes: Partial<UpstreamCall> = {},
): UpstreamCall {
  return {
    target,
    model: 'sim-model',
    modelLoaded: true,
    request: requestOf({ messages: HELLO, ...body }),
    terms: null,
    onFirstContent: () => undefined,
    onNotSentOn: () => undefined,
    ...changes,
  };
}

export function asStream(reply: UpstreamReply): StreamReply {
  if (reply.kind !== 'stream') throw new Error('expected a stream, got a whole reply');
  return reply;
}

export function asWhole(reply: UpstreamReply): WholeReply {
  if (reply.kind !== 'whole') throw new Error('expected a whole reply, got a stream');
  return reply;
}

export interface ReadStream {
  /** Everything handed on. */
  readonly text: string;
  /** The parsed data of each event. */
  readonly chunks: readonly Record<string, unknown>[];
  /** The joined `delta.content`. */
  readonly content: string;
  /** Batches until the first one with content, that one included; 0: none came. */
  readonly firstContentAt: number;
  /** What ended it early; null: it ended properly. */
  readonly error: UpstreamError | null;
}

/** Reads a stream to its end or its fault. */
export async function readStream(reply: UpstreamReply): Promise<ReadStream> {
  const stream = asStream(reply);
  const parts: Uint8Array[] = [];
  let firstContentAt = 0;
  let error: UpstreamError | null = null;
  try {
    for (let batch = await stream.next(); batch !== null; batch = await stream.next()) {
      parts.push(batch.bytes.slice());
      if (batch.hasContent && firstContentAt === 0) firstContentAt = parts.length;
    }
  } catch (caught) {
    if (!(caught instanceof UpstreamError)) throw caught;
    error = caught;
  }
  const text = Buffer.concat(parts).toString();
  const chunks = eventsOf(text);
  return { text, chunks, content: chunks.map(contentOf).join(''), firstContentAt, error };
}

function eventsOf(text: string): Record<string, unknown>[] {
  if (text === '') return [];
  if (!text.endsWith('\n\n'))
    throw new Error(`the stream was handed on without its last blank line: ${text.slice(-80)}`);
  return text
    .slice(0, -2)
    .split('\n\n')
    .map((event) => {
      if (!event.startsWith('data: ') || event.includes('\n')) throw new Error(`not in canonical form: ${event}`);
      return JSON.parse(event.slice('data: '.length)) as Record<string, unknown>;
    });
}

function contentOf(chunk: Record<string, unknown>): string {
  const choices = chunk['choices'] as { delta?: { content?: string | null } }[] | undefined;
  return (choices ?? []).map(({ delta }) => delta?.content ?? '').join('');
}

/** The error that a promise rejects with; anything but an UpstreamError fails the test. */
export async function failureOf(work: Promise<unknown>): Promise<UpstreamError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof UpstreamError) return error;
    throw error;
  }
  throw new Error('expected an UpstreamError, but it succeeded');
}
