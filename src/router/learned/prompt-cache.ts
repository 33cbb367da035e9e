import { bytesOfBlocks, type PromptFacts } from '../../core/prompt.ts';

/** Below this a conversation is forgotten: its slot has long been given to another. Dynamo takes 2 min, OpenRouter 10. */
const LIVE_MS = 10 * 60_000;
/** However much a server may hold, more is not remembered of it: planning looks at each. */
const MOST_CONVERSATIONS = 64;
/** A provider has room for everybody, but whose prompts it keeps is not ours to know. */
const PROVIDERS_SLOTS = 8;
/** A prediction is refuted when less than this share of it was there. */
const REFUTED = 0.5;

interface Conversation {
  readonly key: number;
  readonly blocks: Uint32Array;
  readonly sentBytes: number;
  readonly usedAtMs: number;
}

/**
 * Which prompts one model on one server probably has cached: the latest ones, as many as its slots keep. An
 * approximation (servers send no events), which the server's own word on cached tokens corrects.
 */
export class PromptCache {
  /** Latest use last. */
  #conversations: Conversation[] = [];
  /** Conversations kept for each slot; learned from predictions that came true or did not. */
  #perSlot = 1;
  #slots = 1;

  /** The server's slots: each keeps at least the prompt that it had last. */
  resize(slots: number): void {
    this.#slots = Number.isFinite(slots) ? Math.max(1, slots) : PROVIDERS_SLOTS;
    this.#evict();
  }

  /** Conversations that it is taken to have cached. */
  get size(): number {
    return this.#conversations.length;
  }

  get capacity(): number {
    return Math.max(1, Math.min(MOST_CONVERSATIONS, Math.round(this.#slots * this.#perSlot)));
  }

  /** Share of the prompt that is probably cached, 0 to 1. */
  cachedShare(prompt: PromptFacts, nowMs: number): number {
    if (this.#conversations.length === 0 || prompt.sentBytes === 0) return 0;
    const { blocks } = prompt;
    let bytes = 0;
    for (const known of this.#conversations) {
      if (nowMs - known.usedAtMs > LIVE_MS) continue;
      const shared = sharedBlocks(known.blocks, blocks);
      // All of it is there: its last block was not full, and the answer to it is in the slot as well.
      const isWhole = known.key === prompt.conversation && shared === known.blocks.length;
      bytes = Math.max(bytes, isWhole ? known.sentBytes : bytesOfBlocks(shared));
    }
    return Math.min(1, bytes / prompt.sentBytes);
  }

  holds(prompt: PromptFacts): boolean {
    if (this.#conversations.length === 0) return false;
    const { conversation } = prompt;
    return this.#conversations.some(({ key }) => key === conversation);
  }

  liveConversations(nowMs: number): number {
    let count = 0;
    for (const { usedAtMs } of this.#conversations) if (nowMs - usedAtMs <= LIVE_MS) count++;
    return count;
  }

  /** The server reads this prompt: it takes the slot of the same conversation, else of the one used longest ago. */
  add(prompt: PromptFacts, nowMs: number): void {
    const at = this.#conversations.findIndex(({ key }) => key === prompt.conversation);
    if (at !== -1) this.#conversations.splice(at, 1);
    this.#conversations.push({
      key: prompt.conversation,
      blocks: prompt.blocks,
      sentBytes: prompt.sentBytes,
      usedAtMs: nowMs,
    });
    this.#evict();
  }

  /**
   * What the server says of its cache beside what was predicted, both in tokens. A refuted prediction means that it
   * keeps fewer conversations than was thought; a hit that nobody predicted, that it keeps more.
   */
  correct(predicted: number, reported: number, promptTokens: number): void {
    const worthwhile = Math.max(64, promptTokens * 0.1);
    if (predicted > worthwhile && reported < predicted * REFUTED) this.#perSlot = Math.max(0.25, this.#perSlot * 0.8);
    else if (reported > worthwhile && predicted < reported * REFUTED) {
      this.#perSlot = Math.min(MOST_CONVERSATIONS, this.#perSlot * 1.25);
    }
  }

  /** The model left the memory, and its cache with it. */
  clear(): void {
    this.#conversations = [];
  }

  #evict(): void {
    const tooMany = this.#conversations.length - this.capacity;
    if (tooMany > 0) this.#conversations.splice(0, tooMany);
  }
}

/** Equal at one place means equal before it, so the first difference is searched for by halves. */
function sharedBlocks(a: Uint32Array, b: Uint32Array): number {
  let low = 0;
  let high = Math.min(a.length, b.length);
  if (high === 0 || a[0] !== b[0]) return 0;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (a[middle - 1] === b[middle - 1]) low = middle;
    else high = middle - 1;
  }
  return low;
}
