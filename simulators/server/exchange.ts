import type { JsonObject } from '../generation/chat-request.ts';
import type { Behaviour, SimulatorKind } from '../types.ts';
import type { Answer } from './answer.ts';
import type { HttpRequest } from './http-request.ts';
import type { ModelShelf } from './model-shelf.ts';

/** One request as a wire sees it. */
export interface Exchange {
  readonly request: HttpRequest;
  readonly query: URLSearchParams;
  /** Null: no body, or one that is no JSON object. */
  readonly body: JsonObject | null;
  readonly gone: AbortSignal;
  readonly behaviour: Behaviour;
  readonly shelf: ModelShelf;
  readonly serverName: string;
  /** Puts on record what the answer says that it used. */
  reports(usage: JsonObject): void;
}

/** One server family: its paths, its words, its habits. */
export interface Wire {
  readonly kind: SimulatorKind;
  /** Behaviour that differs from the general default. */
  readonly defaults: Partial<Behaviour>;
  /** What a target's `baseUrl` is, after the server's root. */
  readonly basePath: string;
  readonly headers: Readonly<Record<string, string>>;
  isInference(request: HttpRequest): boolean;
  /** This wire's body for an error; used by faults too. */
  errorBody(status: number, message: string): unknown;
  /** This wire's data of an error inside a stream that began with 200; default: `errorBody`. */
  readonly streamErrorBody?: unknown;
  /** The refusal of a missing or wrong key; null: let in. Called only when a key is set. */
  refuseStranger(exchange: Exchange, apiKey: string): Answer | null;
  answer(exchange: Exchange): Answer | Promise<Answer>;
}

export function bearerOf(request: HttpRequest): string | null {
  return request.headers['authorization']?.match(/^Bearer\s+(.+)$/i)?.[1] ?? null;
}

/** Paths on which servers of the OpenAI family generate. */
export function isOpenAiInference(request: HttpRequest): boolean {
  return request.method === 'POST' && /\/(chat\/completions|completions|embeddings|responses)$/.test(request.path);
}
