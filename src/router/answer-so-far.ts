import { isObject } from './json-objects.ts';

/** Beyond this many characters an answer is not kept, and so not continued. */
const MAX_CHARACTERS = 1_048_576;

type Chunk = Readonly<Record<string, unknown>>;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/**
 * What of an answer the client has been sent, kept for routes whose broken answers are continued. Only plain text of
 * one choice can be: a tool call, reasoning or a second choice could not be handed over to another server.
 */
export class AnswerSoFar {
  #text = '';
  /** Content events, about as many as tokens. */
  #produced = 0;
  #isPlainText = true;
  #finished = false;
  /** The first part's, so that clients see one answer. */
  #identity: { readonly id: unknown; readonly created: unknown } | null = null;
  /** White space at the end of the text that a further part may begin with once more. */
  #overlap: string | null = null;

  get text(): string {
    return this.#text;
  }

  get produced(): number {
    return this.#produced;
  }

  /** Some text came, nothing but text, it is not finished, and it does not end within a character. */
  get mayBeContinued(): boolean {
    if (!this.#isPlainText || this.#finished || this.#text.trimEnd() === '') return false;
    const last = this.#text.charCodeAt(this.#text.length - 1);
    return last < 0xd800 || last > 0xdbff;
  }

  /** What another server is given as the beginning. Templates drop white space at the end of a message, so it goes without. */
  get prefill(): string {
    return this.#text.trimEnd();
  }

  /** Another server goes on from `prefill`. */
  beginNextPart(): void {
    this.#overlap = this.#text.slice(this.prefill.length);
  }

  /** Takes note of events on their way to the client; returns them as the client may have them. */
  take(bytes: Uint8Array): Uint8Array {
    if (!this.#isPlainText && this.#overlap === null) return bytes;
    const events = chunksIn(bytes);
    if (this.#overlap === null) {
      for (const chunk of events) this.#note(chunk);
      return bytes;
    }
    const joined: string[] = [];
    for (const chunk of events) {
      const kept = this.#join(chunk);
      if (kept !== null) joined.push(`data: ${JSON.stringify(kept)}\n\n`);
    }
    return encoder.encode(joined.join(''));
  }

  #note(chunk: Chunk): void {
    this.#identity ??= { id: chunk['id'], created: chunk['created'] };
    for (const choice of choicesOf(chunk)) {
      const delta = isObject(choice['delta']) ? choice['delta'] : {};
      if (typeof choice['finish_reason'] === 'string') this.#finished = true;
      if (choice['index'] !== undefined && choice['index'] !== 0) this.#isPlainText = false;
      if (Object.entries(delta).some(([name, value]) => !isPlain(name, value))) this.#isPlainText = false;
      const { content } = delta;
      if (typeof content !== 'string' || content === '') continue;
      this.#produced++;
      this.#text += content;
      if (this.#text.length > MAX_CHARACTERS) this.#isPlainText = false;
    }
    if (this.#isPlainText) return;
    this.#text = '';
  }

  /** A chunk of a further part, as a chunk of the one answer; null: nothing of it is left. */
  #join(chunk: Chunk): Chunk | null {
    const choices = choicesOf(chunk).map((choice) => this.#withoutOverlap(choice));
    const isEmpty = choices.length > 0 && choices.every(saysNothing) && !isObject(chunk['usage']);
    const joined = { ...chunk, ...this.#identity, ...(choices.length > 0 ? { choices } : {}) };
    this.#note(joined);
    return isEmpty ? null : joined;
  }

  #withoutOverlap(choice: Chunk): Chunk {
    const { role: _, ...delta } = isObject(choice['delta']) ? choice['delta'] : {};
    const content = delta['content'];
    if (typeof content !== 'string' || content === '') return { ...choice, delta };
    const overlap = this.#overlap ?? '';
    let same = 0;
    while (same < overlap.length && content[same] === overlap[same]) same++;
    // Still within the overlap, or past it for good.
    this.#overlap = same === content.length ? overlap.slice(same) : '';
    return { ...choice, delta: { ...delta, content: content.slice(same) } };
  }
}

/** Fields of a delta that a text answer has too, with nothing in them. */
function isPlain(name: string, value: unknown): boolean {
  if (name === 'role' || name === 'content') return typeof value === 'string' || value === null;
  return value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
}

function saysNothing(choice: Chunk): boolean {
  const delta = isObject(choice['delta']) ? choice['delta'] : {};
  return typeof choice['finish_reason'] !== 'string' && Object.entries(delta).every(([, value]) => isPlain('', value));
}

function choicesOf(chunk: Chunk): Chunk[] {
  return Array.isArray(chunk['choices']) ? chunk['choices'].filter(isObject) : [];
}

/** Adapters hand on whole events in the one form `data: <JSON>`, blank line. */
function chunksIn(bytes: Uint8Array): Chunk[] {
  const chunks: Chunk[] = [];
  for (const event of decoder.decode(bytes).split('\n\n')) {
    if (!event.startsWith('data: ')) continue;
    const value: unknown = JSON.parse(event.slice('data: '.length));
    if (isObject(value)) chunks.push(value);
  }
  return chunks;
}
