/** What a request needs beside text. */
export interface PromptNeeds {
  readonly vision: boolean;
  readonly tools: boolean;
  /** A reply by JSON schema. */
  readonly jsonSchema: boolean;
}

/** What routing looks at of a prompt; its text is not kept. */
export interface PromptFacts {
  /** Of the text that the model reads (messages, tools), UTF-8, ≥ 0. */
  readonly bytes: number;
  /** The same with all that only some servers read, ≥ `bytes`: what may have to be paid for. */
  readonly mostBytes: number;
  /** Of a body that has members twice, whole, since servers differ in which of them counts; else 0. */
  readonly repeatedBytes: number;
  /** Parts that are no text (images, audio, files): their tokens are not in `bytes`. */
  readonly media: number;
  /** Answers of the model that it contains, ≥ 0: servers may have the turns before them cached. */
  readonly earlierTurns: number;
  /** The client wants a prompt that is too long to be cut. */
  readonly cutOnRequest: boolean;
  readonly needs: PromptNeeds;
  /** The client's limit for the answer, tokens, ≥ 1; null: none given. */
  readonly maxOutputTokens: number | null;
  /** Requests of one conversation share it: the client's session, its cache key, or how the conversation began. */
  readonly conversation: number;
  /**
   * Chained hashes of the prompt's blocks: equal at one place means that all before it is equal too. Computed when it
   * is first asked for.
   */
  readonly blocks: Uint32Array;
  /** Of the messages as they were sent, JSON: what `blocks` are made of, ≥ 0. */
  readonly sentBytes: number;
  /** Of its words, each at least one token whatever the tokenizer; counts no further than `atMost`. */
  words(atMost: number): number;
  /** Is it longer also when repetitions of one character, of which tokenizers make few tokens, are left out? */
  isLongerThan(bytes: number): boolean;
}

/** The first blocks are short, so that short prompts are told apart; long ones need no such detail. Bytes. */
const SMALL_BLOCK = 256;
const SMALL_BLOCKS = 64;
const LARGE_BLOCK = 1024;
/** About 70,000 tokens; what follows is not compared. */
const MAX_BLOCKS = 320;

/** Of one block, bytes. */
export function blockLength(index: number): number {
  return index < SMALL_BLOCKS ? SMALL_BLOCK : LARGE_BLOCK;
}

/** How many full blocks so many bytes have: the last one of a turn goes on in the next. */
export function blockCount(bytes: number): number {
  const small = Math.min(SMALL_BLOCKS, Math.floor(bytes / SMALL_BLOCK));
  const large = Math.floor(Math.max(0, bytes - SMALL_BLOCKS * SMALL_BLOCK) / LARGE_BLOCK);
  return Math.min(MAX_BLOCKS, small + large);
}

/** Of the first blocks together, bytes. */
export function bytesOfBlocks(count: number): number {
  return Math.min(count, SMALL_BLOCKS) * SMALL_BLOCK + Math.max(0, count - SMALL_BLOCKS) * LARGE_BLOCK;
}

/** Of a request whose prompt is not looked at. */
export const NO_PROMPT: PromptFacts = {
  bytes: 0,
  mostBytes: 0,
  repeatedBytes: 0,
  media: 0,
  earlierTurns: 0,
  cutOnRequest: false,
  needs: { vision: false, tools: false, jsonSchema: false },
  maxOutputTokens: null,
  conversation: 0,
  blocks: new Uint32Array(0),
  sentBytes: 0,
  words: () => 0,
  isLongerThan: () => false,
};

/** The same once a stream has begun, which must not hold its prompt in memory: for judging its end. */
export function withoutText(prompt: PromptFacts): PromptFacts {
  const {
    bytes,
    mostBytes,
    repeatedBytes,
    media,
    earlierTurns,
    cutOnRequest,
    needs,
    maxOutputTokens,
    conversation,
    sentBytes,
  } = prompt;
  const words = prompt.words(Number.POSITIVE_INFINITY);
  const facts = {
    bytes,
    mostBytes,
    repeatedBytes,
    media,
    earlierTurns,
    cutOnRequest,
    needs,
    maxOutputTokens,
    conversation,
    sentBytes,
  };
  return { ...NO_PROMPT, ...facts, words: (atMost) => Math.min(words, atMost) };
}
