import type { Problem } from './problem.ts';
import type { TargetId } from './target.ts';

/** What a new configuration changed in the list of targets. */
export interface TargetChanges {
  readonly added: readonly TargetId[];
  readonly removed: readonly TargetId[];
  readonly changed: readonly TargetId[];
  readonly kept: readonly TargetId[];
}

export type ReloadResult =
  | {
      readonly ok: true;
      /** Environment names of the settings that changed, and `routes`. */
      readonly changed: readonly string[];
      /** Settings that are written otherwise than they are in force, and count only after a restart. */
      readonly needRestart: readonly string[];
      readonly targets: TargetChanges;
    }
  /** The old configuration stays. */
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Which configuration is in force. */
export interface ConfigState {
  /** 1 at the start, one more with each reload that changed something. */
  readonly version: number;
  /** When that version began to count. */
  readonly loadedAtWallMs: number;
  /** Settings that are written otherwise than they are in force, and count only after a restart. */
  readonly needRestart: readonly string[];
  /** The latest reload was refused; null: it was not, or there was none. */
  readonly lastError: { readonly atWallMs: number; readonly problems: readonly Problem[] } | null;
}
