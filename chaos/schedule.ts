import { hash, planChat } from '../simulators/generation/chat-plan.ts';
import { readChatRequest } from '../simulators/generation/chat-request.ts';

/** When a client gives up: at once, while it waits for its first byte, or after some events of its stream. */
export type Abort =
  | { readonly phase: 'waiting'; readonly afterMs: number }
  | { readonly phase: 'streaming'; readonly afterEvents: number };

/** What one client asks, and when it leaves. */
export interface RequestPlan {
  readonly number: number;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** The model is asked to call a tool. */
  readonly tool: boolean;
  readonly place: 'local' | 'cloud' | null;
  /** Null: it stays. */
  readonly abort: Abort | null;
  readonly body: Readonly<Record<string, unknown>>;
  /** As the simulated servers count them. */
  readonly promptTokens: number;
}

/** Numbers 0 ≤ x < 1, the same for the same key (SplitMix32). */
export function randomOf(...key: readonly (string | number)[]): () => number {
  let state = hash(key.join('|'));
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 4_294_967_296;
  };
}

export const canaryOf = (seed: number, number: number): string => `canary:s${seed}-n${number}-`;
const CANARY = /canary:s\d+-n(\d+)-/g;

/** The numbers of all requests whose canary stands in a text. */
export function canariesIn(text: string): number[] {
  return Array.from(text.matchAll(CANARY), ([, number]) => Number(number));
}

const TOOL = {
  type: 'function',
  function: {
    name: 'look_up',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};
const WORDS = ['weather', 'naïve', 'größer', '東京の天気', 'emoji 🐝🍯', 'שלום', 'plain', 'e\u0301'];

const LONG_PROMPT_WORDS = 4_000;

/** A pure function of seed and number, so that any request of a run can be sent again. */
export function requestPlan(seed: number, number: number): RequestPlan {
  const random = randomOf(seed, number, 'request');
  const stream = random() < 0.5;
  const includeUsage = stream && random() < 0.3;
  const tool = random() < 0.1;
  const fence = random();
  const place = fence < 0.05 ? 'local' : fence < 0.1 ? 'cloud' : null;
  const abort = random() < 0.05 ? abortOf(random, stream) : null;
  const length = random() < 0.02 ? LONG_PROMPT_WORDS : Math.floor(random() * 60);
  const words = Array.from({ length }, () => WORDS[Math.floor(random() * WORDS.length)]).join(' ');
  const content = `${tool ? 'use tool ' : ''}${canaryOf(seed, number)} ${words}`;
  const body = {
    model: 'sim-model',
    messages: [{ role: 'user', content }],
    stream,
    ...(includeUsage ? { stream_options: { include_usage: true } } : {}),
    ...(tool ? { tools: [TOOL] } : {}),
  };
  const { promptTokens } = readChatRequest(body);
  return { number, stream, includeUsage, tool, place, abort, body, promptTokens };
}

/** What a server whose replies have so many words answers when nothing goes wrong: text, or the tool's arguments. */
export function expectedText(plan: RequestPlan, replyTokens: number): string {
  const choice = planChat(readChatRequest(plan.body), { replyTokens, reply: null }).choices[0];
  return [...(choice?.content ?? []), ...(choice?.toolCall?.argumentPieces ?? [])].join('');
}

function abortOf(random: () => number, stream: boolean): Abort {
  return stream && random() < 0.5
    ? { phase: 'streaming', afterEvents: 1 + Math.floor(random() * 6) }
    : { phase: 'waiting', afterMs: Math.floor(random() * 20) };
}
