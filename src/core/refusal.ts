/** Why a request is not served, ready for OpenAI's error envelope. Never holds what a client sent as a credential. */
export interface Refusal {
  readonly status: 400 | 401 | 403 | 429;
  /** OpenAI's `error.code`. */
  readonly code: string;
  /** What happened, to what, what is allowed, what to do. */
  readonly message: string;
  /** The field at fault; null: none. */
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;
}
