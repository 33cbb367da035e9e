import { UpstreamError } from '../core/failure.ts';
import { isObject } from '../core/json-shape.ts';
import type { AnswerSoFar } from './answer-so-far.ts';
import { type Chunk, choicesOf, contentOf, deltaOf, finishes, isEmptyField } from './stream-events.ts';
import { TextJoin } from './text-join.ts';

const REASONING_FIELDS = ['reasoning_content', 'reasoning', 'reasoning_details'];

/** The chunks of a server that goes on with another's answer, made into chunks of that one answer. */
export class ContinuedPart {
  readonly #identity: Chunk;
  readonly #text: TextJoin;
  /** Tokens of the answer that this server was given. */
  readonly #given: number;
  #goesOn = false;
  #last: Chunk | null = null;

  constructor(answer: AnswerSoFar) {
    this.#identity = answer.identity;
    this.#given = answer.produced;
    this.#text = new TextJoin(answer.prefill, answer.text.slice(answer.prefill.length));
  }

  /** Something new has come, or the finish. Before that nothing is for the client, and another server can do it too. */
  get goesOn(): boolean {
    return this.#goesOn;
  }

  /**
   * What the client may have of them. Throws an UpstreamError (`rejected`) when the server does not go on with the
   * text; only while `goesOn` is false.
   */
  take(chunks: readonly Chunk[]): Chunk[] {
    return chunks.map((chunk) => this.#join(chunk)).filter((chunk) => chunk !== null);
  }

  /** The stream has ended: what was held. */
  end(): Chunk[] {
    const content = this.#text.end();
    if (content === '' || this.#last === null) return [];
    this.#goesOn = true;
    const { usage: _, ...last } = this.#last;
    return [{ ...last, ...this.#identity, choices: [{ index: 0, delta: { content }, finish_reason: null }] }];
  }

  /** Null: nothing of it is left. */
  #join(chunk: Chunk): Chunk | null {
    this.#last = chunk;
    const choices = choicesOf(chunk).map((choice) => this.#joinChoice(choice));
    const says = choices.some(saysSomething);
    if (says) this.#goesOn = true;
    const usage = isObject(chunk['usage']) ? { usage: usageOfAll(chunk['usage'], this.#given) } : null;
    if (!says && usage === null) return null;
    return { ...chunk, ...this.#identity, ...(choices.length > 0 ? { choices } : {}), ...usage };
  }

  #joinChoice(choice: Chunk): Chunk {
    const { role: _, ...delta } = deltaOf(choice);
    if (!this.#goesOn && REASONING_FIELDS.some((field) => !isEmptyField(delta[field]))) {
      throw doesNotGoOn('it began to reason instead of going on with the text');
    }
    const isLast = finishes(choice) || Object.entries(delta).some(([name, value]) => isOther(name, value));
    const content = this.#text.feed(contentOf(delta)) + (isLast ? this.#text.end() : '');
    if (this.#text.isUnclear) {
      throw doesNotGoOn('its text may be the beginning once more or new, and so few words do not tell');
    }
    return { ...choice, delta: content === '' && isEmptyField(delta['content']) ? delta : { ...delta, content } };
  }
}

function doesNotGoOn(why: string): UpstreamError {
  return new UpstreamError('rejected', `the answer is not continued there: ${why}`);
}

/** Something else than text: a tool call. */
function isOther(name: string, value: unknown): boolean {
  return name !== 'content' && !isEmptyField(value);
}

function saysSomething(choice: Chunk): boolean {
  return finishes(choice) || Object.values(deltaOf(choice)).some((value) => !isEmptyField(value));
}

/**
 * The usage as the client sees it: what this server counts as prompt because it was given it is completion to the
 * client. The total stays what the server counted.
 */
function usageOfAll(usage: Chunk, given: number): Chunk {
  const { prompt_tokens: prompt, completion_tokens: completion } = usage;
  if (typeof prompt !== 'number' || typeof completion !== 'number') return usage;
  const moved = Math.min(given, prompt);
  return {
    ...usage,
    prompt_tokens: prompt - moved,
    completion_tokens: completion + moved,
    ...cachedAtMost(usage, prompt - moved),
  };
}

function cachedAtMost({ prompt_tokens_details: details }: Chunk, most: number): Chunk {
  if (!isObject(details) || typeof details['cached_tokens'] !== 'number') return {};
  return { prompt_tokens_details: { ...details, cached_tokens: Math.min(details['cached_tokens'], most) } };
}
