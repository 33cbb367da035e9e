/** No server is started with less; fewer tokens are a template's doing. */
export const LEAST_CONTEXT = 512;
/** Servers cut at whole messages: what is left is not always as long. */
const SAME_CUT = 0.1;
/** Models are loaded anew with another context: after so long a long prompt may find out. ms. */
const BELIEVED_MS = 30 * 60_000;

interface Cut {
  readonly tokens: number;
  readonly conversation: number;
  readonly atMs: number;
}

/**
 * The context that a model on one server really has, as far as its answers show it. One cut may be an odd template's
 * doing: two different conversations that were cut to the same length show a limit, but not below what was read whole.
 */
export class ContextSeen {
  #latest: Cut | null = null;
  #limit: Cut | null = null;
  /** The longest prompt that was read whole, tokens. */
  #longest = 0;

  /** Where it cuts prompts without a word, tokens; null: nobody knows, or not any more. */
  limitAt(nowMs: number): number | null {
    return this.#limit === null || nowMs - this.#limit.atMs > BELIEVED_MS ? null : this.#limit.tokens;
  }

  readWhole(tokens: number): void {
    this.#longest = Math.max(this.#longest, tokens);
    // It read more than it was thought to hold: it was loaded anew with another context.
    if (this.#limit !== null && tokens > this.#limit.tokens) this.#forget();
  }

  wasCut(cut: Cut): void {
    if (cut.tokens < LEAST_CONTEXT) return;
    if (cut.tokens < this.#longest * (1 - SAME_CUT)) {
      // It has read more than this: loaded anew with less, or an odd prompt. The next ones will tell.
      this.#forget();
      return;
    }
    const before = this.#latest;
    this.#latest = cut;
    if (before === null || Math.abs(cut.tokens - before.tokens) > before.tokens * SAME_CUT) return;
    if (cut.conversation === before.conversation && this.#limit === null) return;
    this.#limit = { ...cut, tokens: Math.max(before.tokens, cut.tokens) };
  }

  #forget(): void {
    this.#latest = null;
    this.#limit = null;
    this.#longest = 0;
  }
}
