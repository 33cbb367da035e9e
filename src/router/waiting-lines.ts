import type { SlotChoice } from './slot-choice.ts';
import type { TargetEntry } from './target-entry.ts';

/** Somebody who waits for a slot at any of the choices. */
export interface Waiting {
  readonly choices: readonly SlotChoice[];
}

/** Who has waited longest of those to whom a target's slots mean the same. */
export interface Head<Waiter> {
  readonly waiter: Waiter;
  readonly choice: SlotChoice;
  readonly line: string;
}

interface Line<Waiter> {
  readonly choice: SlotChoice;
  /** In the order in which they came, each with its number. */
  readonly waiters: Map<Waiter, number>;
}

/**
 * Everybody who waits, by target and, there, by model: when a slot of one target frees, only the heads of its own lines
 * need be looked at, however many thousands wait.
 */
export class WaitingLines<Waiter extends Waiting> {
  readonly #all = new Set<Waiter>();
  readonly #lines = new Map<TargetEntry, Map<string, Line<Waiter>>>();
  #came = 0;

  get size(): number {
    return this.#all.size;
  }

  /** First come, first. */
  [Symbol.iterator](): Iterator<Waiter> {
    return this.#all[Symbol.iterator]();
  }

  add(waiter: Waiter): void {
    this.#all.add(waiter);
    const number = ++this.#came;
    for (const choice of waiter.choices) this.#lineOf(choice).waiters.set(waiter, number);
  }

  /** False: it did not wait any more. */
  delete(waiter: Waiter): boolean {
    if (!this.#all.delete(waiter)) return false;
    for (const choice of waiter.choices) this.#leaveLine(choice, waiter);
    return true;
  }

  /** Everybody who waits for this target. */
  at(entry: TargetEntry): Waiter[] {
    return [...(this.#lines.get(entry)?.values() ?? [])].flatMap(({ waiters }) => [...waiters.keys()]);
  }

  /** Who came first of all heads of lines for this target, but for the lines in `without`; null: nobody. */
  first(entry: TargetEntry, without?: ReadonlySet<string>): Head<Waiter> | null {
    let best: Head<Waiter> | null = null;
    let bestNumber = Number.POSITIVE_INFINITY;
    for (const [line, { choice, waiters }] of this.#lines.get(entry) ?? []) {
      if (without?.has(line) === true) continue;
      for (const [waiter, number] of waiters) {
        if (number < bestNumber) {
          best = { waiter, choice, line };
          bestNumber = number;
        }
        break;
      }
    }
    return best;
  }

  /** The heads of all lines for this target, in no order. */
  heads(entry: TargetEntry): Head<Waiter>[] {
    const heads: Head<Waiter>[] = [];
    for (const [line, { choice, waiters }] of this.#lines.get(entry) ?? []) {
      for (const waiter of waiters.keys()) {
        heads.push({ waiter, choice, line });
        break;
      }
    }
    return heads;
  }

  #lineOf(choice: SlotChoice): Line<Waiter> {
    const lines = this.#lines.get(choice.entry) ?? new Map<string, Line<Waiter>>();
    this.#lines.set(choice.entry, lines);
    const name = lineName(choice);
    const line = lines.get(name) ?? { choice, waiters: new Map() };
    lines.set(name, line);
    return line;
  }

  #leaveLine(choice: SlotChoice, waiter: Waiter): void {
    const lines = this.#lines.get(choice.entry);
    const name = lineName(choice);
    const line = lines?.get(name);
    if (lines === undefined || line === undefined) return;
    line.waiters.delete(waiter);
    if (line.waiters.size > 0) return;
    lines.delete(name);
    if (lines.size === 0) this.#lines.delete(choice.entry);
  }
}

/** Those in one line get a slot, or none, under the same conditions. */
function lineName({ model, outOfTurn }: SlotChoice): string {
  return outOfTurn ? `!${model}` : `.${model}`;
}
