/** One thing that is wrong with the settings, as a person reads it. Never holds an unmasked secret. */
export interface Problem {
  /** Where it was written: `the environment`, `.env line 3`, `swarmrouter.yaml line 7`, `the command line`. */
  readonly where: string;
  /** The name as it was written there: `SWARMROUTER_PORT`, `max_retries`, `--port`. */
  readonly name: string;
  /** The value seen, secrets masked; null: the problem is that there is none, or that the name is unknown. */
  readonly seen: string | null;
  /** `seen` is JSON as it was sent, so that 4 and "4" are told apart: it is shown as it stands. */
  readonly seenIsJson?: true;
  /** What is wrong, a clause without a full stop. */
  readonly message: string;
  /** What is allowed; null: the message says it. */
  readonly allowed: string | null;
  /** What to do about it, a sentence without a full stop. */
  readonly fix: string;
}

/** What came of reading something that a person wrote: every problem at once. */
export type Reading<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly problems: readonly Problem[] };
