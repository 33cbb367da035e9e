import type { Clock } from '../core/clock.ts';
import { withoutText } from '../core/prompt.ts';
import type { SlotChoice } from './slot-choice.ts';
import type { TargetEntry } from './target-entry.ts';
import type { CallOnTarget, TargetDirectory } from './targets.ts';

/** A taken slot; the call on the target begins with it. */
export interface Lease {
  readonly choice: SlotChoice;
  readonly call: CallOnTarget;
  /** How long it was waited for. */
  readonly queuedMs: number;
  /**
   * Gives it back; further calls do nothing. `settlingMs`: the server goes on with the prompt of a cancelled request
   * for about so long, so the slot stays counted.
   */
  release(settlingMs?: number): void;
  /** The answer streams: from now on its prompt is not held in memory. */
  dropPrompt(): void;
}

/** Counts itself in, and out again. */
export class SlotLease implements Lease {
  choice: SlotChoice;
  readonly call: CallOnTarget;
  readonly queuedMs: number;
  readonly #onFreed: (entry: TargetEntry) => void;
  readonly #clock: Clock;
  readonly #takenAtMs: number;
  #held = true;

  /** `onFreed`: told when the slot may be given to another. */
  constructor(
    directory: TargetDirectory,
    clock: Clock,
    choice: SlotChoice,
    queuedMs: number,
    onFreed: (entry: TargetEntry) => void,
  ) {
    this.#onFreed = onFreed;
    this.#clock = clock;
    this.#takenAtMs = clock.nowMs();
    this.choice = choice;
    this.queuedMs = queuedMs;
    const { entry, model, prompt } = choice;
    entry.inFlight++;
    entry.busyByModel.set(model, (entry.busyByModel.get(model) ?? 0) + 1);
    this.call = directory.begin(entry, model, prompt);
  }

  dropPrompt(): void {
    const { live } = this.call;
    live.prompt = withoutText(live.prompt);
    this.choice = { ...this.choice, prompt: live.prompt };
  }

  release(settlingMs = 0): void {
    if (!this.#held) return;
    this.#held = false;
    const { entry } = this.choice;
    entry.inFlight--;
    if (settlingMs > 0) {
      entry.settling++;
      this.#clock.after(settlingMs, () => {
        entry.settling--;
        this.#free();
      });
      return;
    }
    entry.holdTime.record(this.#clock.nowMs() - this.#takenAtMs);
    this.#free();
  }

  #free(): void {
    const { entry, model } = this.choice;
    const rest = (entry.busyByModel.get(model) ?? 1) - 1;
    if (rest === 0) entry.busyByModel.delete(model);
    else entry.busyByModel.set(model, rest);
    this.#onFreed(entry);
  }
}
