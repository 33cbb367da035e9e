/** What a request needs beside text. */
export interface PromptNeeds {
  readonly vision: boolean;
  readonly tools: boolean;
  /** A reply by JSON schema. */
  readonly jsonSchema: boolean;
}

/** What routing looks at of a prompt; its text is not kept. */
export interface PromptFacts {
  /** Of the text that the model reads (messages, tools) as JSON, without the data of images, ≥ 0. */
  readonly bytes: number;
  readonly images: number;
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
}

/** Of a request whose prompt is not looked at. */
export const NO_PROMPT: PromptFacts = {
  bytes: 0,
  images: 0,
  needs: { vision: false, tools: false, jsonSchema: false },
  maxOutputTokens: null,
  conversation: 0,
  blocks: new Uint32Array(0),
};
