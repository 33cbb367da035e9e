/** The longest limit that can be asked for the first token of an answer, ms; the least is 1. */
export const MAX_FIRST_TOKEN_LIMIT_MS = 3_600_000;

/** How requests are treated that name this route (`x-swarmrouter-route`), or that name none. */
export interface Route {
  readonly name: string;
  /** Name of a strategy. */
  readonly strategy: string;
  /** A text answer that breaks is continued by another target (router/joined-reply.ts). */
  readonly streamRecovery: boolean;
  /** How long the first content may take before other targets are worth their price, ms, > 0; null: as the gateway's setting says. */
  readonly maxFirstTokenMs: number | null;
}
