/** One event of a stream in its wire form, with the blank line that ends it. */
export interface StreamEvent {
  readonly text: string;
  /** The text, reasoning or arguments that it carries; null: nothing that a client could show. */
  readonly content: string | null;
}

/** What a fault does to the connection in place of a further event. */
export type ConnectionAct =
  | { readonly act: 'reset' }
  /** FIN without the end of the HTTP body. */
  | { readonly act: 'cut' }
  | { readonly act: 'hang'; readonly commentsEveryMs: number | null };

export type StreamItem = StreamEvent | ConnectionAct;

export interface WholeAnswer {
  readonly kind: 'whole';
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** For the log: tokens and text of a generated answer. */
  readonly generated?: { readonly tokens: number; readonly text: string };
}

export interface StreamAnswer {
  readonly kind: 'stream';
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly events: AsyncIterable<StreamItem>;
  /** Gives back what the answer holds (a slot). Called once at its end, however it ended. */
  release?(): void;
}

export type Answer = WholeAnswer | StreamAnswer;

export function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): WholeAnswer {
  return {
    kind: 'whole',
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(body),
  };
}

export function text(status: number, body: string, contentType = 'text/plain; charset=utf-8'): WholeAnswer {
  return { kind: 'whole', status, headers: { 'content-type': contentType }, body };
}

export function dataEvent(value: unknown, content: string | null = null): StreamEvent {
  return { text: `data: ${JSON.stringify(value)}\n\n`, content };
}

export const DONE_EVENT: StreamEvent = { text: 'data: [DONE]\n\n', content: null };
