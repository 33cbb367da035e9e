import { type Chunk, choicesOf, contentOf, deltaOf, finishes, isEmptyField } from './stream-events.ts';

/** Beyond this many characters an answer is not kept, and so not continued. */
const MAX_CHARACTERS = 1_048_576;

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
  #id: unknown;
  #created: unknown;

  /** Nothing but text came, and not too much: else it cannot be continued any more, and need not be noted. */
  get isPlainText(): boolean {
    return this.#isPlainText;
  }

  get text(): string {
    return this.#text;
  }

  /** Tokens sent so far, about: a server's chunk is nearly always one. */
  get produced(): number {
    return this.#produced;
  }

  /** The first part's: clients group chunks by them. */
  get identity(): Chunk {
    return { id: this.#id, created: this.#created };
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

  /** Takes note of a chunk on its way to the client. */
  note(chunk: Chunk): void {
    // Azure's first chunk has an empty id.
    this.#id ||= chunk['id'];
    this.#created ||= chunk['created'];
    if (!this.#isPlainText) return;
    for (const choice of choicesOf(chunk)) this.#noteChoice(choice);
    if (this.#text.length > MAX_CHARACTERS) this.#isPlainText = false;
    if (!this.#isPlainText) this.#text = '';
  }

  #noteChoice(choice: Chunk): void {
    const delta = deltaOf(choice);
    if (finishes(choice)) this.#finished = true;
    const isFirst = choice['index'] === undefined || choice['index'] === 0;
    // Some servers stream whole messages instead of deltas.
    if (!isFirst || choice['message'] !== undefined) this.#isPlainText = false;
    for (const name in delta) if (!isPlain(name, delta[name])) this.#isPlainText = false;
    const content = contentOf(delta);
    if (content === '') return;
    this.#produced++;
    this.#text += content;
  }
}

/** Fields of a delta that a text answer has too. */
function isPlain(name: string, value: unknown): boolean {
  if (name === 'role' || name === 'content') return typeof value === 'string' || value === null;
  return isEmptyField(value);
}
