import { isObject } from '../core/json-shape.ts';

/** One `chat.completion.chunk`, parsed. */
export type Chunk = Readonly<Record<string, unknown>>;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Adapters hand on whole events in the one form `data: <JSON>`, blank line. */
export function chunksIn(bytes: Uint8Array): Chunk[] {
  const chunks: Chunk[] = [];
  for (const event of decoder.decode(bytes).split('\n\n')) {
    if (!event.startsWith('data: ')) continue;
    const value: unknown = JSON.parse(event.slice('data: '.length));
    if (isObject(value)) chunks.push(value);
  }
  return chunks;
}

/** The same way back. */
export function eventsOf(chunks: readonly Chunk[]): Uint8Array {
  return encoder.encode(chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join(''));
}

export function choicesOf(chunk: Chunk): Chunk[] {
  return Array.isArray(chunk['choices']) ? chunk['choices'].filter(isObject) : [];
}

export function deltaOf(choice: Chunk): Chunk {
  return isObject(choice['delta']) ? choice['delta'] : {};
}

export function contentOf(delta: Chunk): string {
  return typeof delta['content'] === 'string' ? delta['content'] : '';
}

export function finishes(choice: Chunk): boolean {
  return typeof choice['finish_reason'] === 'string' && choice['finish_reason'] !== '';
}

/** A field of a delta that is there without saying anything. */
export function isEmptyField(value: unknown): boolean {
  return value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
}
