/**
 * A beginning this long or longer is not said once more by chance, in characters. A shorter one may be: "1" is followed
 * by "10" where the answer is 110.
 */
const SURE_ECHO = 32;

/**
 * Joins the text of a server that was given the beginning of an answer to what the client has. Servers give only the
 * rest (llama.cpp, vLLM, Ollama), or the beginning first and then the rest (LM Studio 0.4.16, lmstudio-bug-tracker#2041;
 * vLLM 0.6.3, vllm#10111; llama.cpp in whole replies): so text is held while it may still turn out to be the beginning.
 *
 * What is handed on is right for both: text that leaves the beginning's way before its end is new, all of it. The whole
 * beginning once more, if it is long, is an echo and dropped. Only a short one can be either, and then nothing is
 * handed on (`isUnclear`).
 */
export class TextJoin {
  /** Neither reading of what came is sure: another server must go on. */
  isUnclear = false;
  /** What the server was given, and the same as templates trim it. */
  readonly #beginnings: readonly string[];
  /** Null: it is known whether the server repeats the beginning. */
  #held: string | null = '';
  /** White space that the client has behind the beginning; the server may say it too. */
  #gap: string;

  /**
   * @param beginning what the server was given, without white space at its end
   * @param gap white space that the client was sent behind it
   */
  constructor(beginning: string, gap: string) {
    this.#beginnings = [beginning, beginning.trimStart()];
    this.#gap = gap;
  }

  /** The server's next text; returns what of it is new and sure. */
  feed(text: string): string {
    if (this.isUnclear) return '';
    if (this.#held === null) return this.#withoutGap(text);
    const held = this.#held + text;
    this.#held = held;
    if (this.#beginnings.some((beginning) => held.length < beginning.length && beginning.startsWith(held))) return '';
    const echoed = this.#beginnings.find((beginning) => held.startsWith(beginning));
    if (echoed !== undefined && echoed.length < SURE_ECHO) {
      this.isUnclear = true;
      return '';
    }
    this.#held = null;
    return this.#withoutGap(held.slice(echoed?.length ?? 0));
  }

  /** No more text comes: what was held was no echo, or not all of one. */
  end(): string {
    const held = this.#held ?? '';
    this.#held = null;
    return this.isUnclear ? '' : this.#withoutGap(held);
  }

  #withoutGap(text: string): string {
    const gap = this.#gap;
    if (gap === '' || text === '') return text;
    let same = 0;
    while (same < gap.length && text[same] === gap[same]) same++;
    // Still within the gap, or past it for good.
    this.#gap = same === text.length ? gap.slice(same) : '';
    return text.slice(same);
  }
}
