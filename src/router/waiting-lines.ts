import { modelIndex } from './model-index.ts';
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

interface Place {
  readonly choice: SlotChoice;
  /** Who came before has a smaller one. */
  readonly number: number;
}

/** In the order in which they came. */
type Line<Waiter> = Map<Waiter, Place>;

/**
 * Everybody who waits, by target and, there, by model: when a slot of one target frees, only the heads of its own lines
 * need be looked at, however many thousands wait.
 */
export class WaitingLines<Waiter extends Waiting> {
  /** With the lines that each stands in: a model may become known meanwhile. */
  readonly #all = new Map<Waiter, readonly string[]>();
  readonly #lines = new Map<TargetEntry, Map<string, Line<Waiter>>>();
  #came = 0;

  get size(): number {
    return this.#all.size;
  }

  /** First come, first. */
  [Symbol.iterator](): Iterator<Waiter> {
    return this.#all.keys();
  }

  has(waiter: Waiter): boolean {
    return this.#all.has(waiter);
  }

  add(waiter: Waiter): void {
    const names = waiter.choices.map(lineName);
    this.#all.set(waiter, names);
    const number = ++this.#came;
    for (const [at, choice] of waiter.choices.entries()) {
      this.#lineOf(choice.entry, names[at] as string).set(waiter, { choice, number });
    }
  }

  /** False: it did not wait any more. */
  delete(waiter: Waiter): boolean {
    const names = this.#all.get(waiter);
    if (names === undefined) return false;
    this.#all.delete(waiter);
    for (const [at, { entry }] of waiter.choices.entries()) this.#leaveLine(entry, names[at] as string, waiter);
    return true;
  }

  /** Everybody who waits for this target. */
  at(entry: TargetEntry): Waiter[] {
    return [...(this.#lines.get(entry)?.values() ?? [])].flatMap((line) => [...line.keys()]);
  }

  /** Who came first of all heads of lines for this target, but for the lines in `without`; null: nobody. */
  first(entry: TargetEntry, without?: ReadonlySet<string>): Head<Waiter> | null {
    let best: Head<Waiter> | null = null;
    let bestNumber = Number.POSITIVE_INFINITY;
    for (const [line, waiters] of this.#lines.get(entry) ?? []) {
      if (without?.has(line) === true) continue;
      for (const [waiter, { choice, number }] of waiters) {
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
    for (const [line, waiters] of this.#lines.get(entry) ?? []) {
      for (const [waiter, { choice }] of waiters) {
        heads.push({ waiter, choice, line });
        break;
      }
    }
    return heads;
  }

  #lineOf(entry: TargetEntry, name: string): Line<Waiter> {
    const lines = this.#lines.get(entry) ?? new Map<string, Line<Waiter>>();
    this.#lines.set(entry, lines);
    const line = lines.get(name) ?? new Map<Waiter, Place>();
    lines.set(name, line);
    return line;
  }

  #leaveLine(entry: TargetEntry, name: string, waiter: Waiter): void {
    const lines = this.#lines.get(entry);
    const line = lines?.get(name);
    if (lines === undefined || line === undefined) return;
    line.delete(waiter);
    if (line.size > 0) return;
    lines.delete(name);
    if (lines.size === 0) this.#lines.delete(entry);
  }
}

/**
 * Those in one line get a slot, or none, under the same conditions. All models that the target does not list stand in
 * one: clients may invent any number of names.
 */
function lineName({ entry, model, outOfTurn }: SlotChoice): string {
  const isKnown = entry.snapshot !== null && modelIndex(entry.snapshot).find(model) !== null;
  return `${outOfTurn ? '!' : '.'}${isKnown ? model : ''}`;
}
