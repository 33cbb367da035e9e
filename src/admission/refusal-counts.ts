/** How often requests were refused at the door, by reason. The reasons are ours: a stranger cannot make up new ones. */
export class RefusalCounts {
  readonly #counts = new Map<string, number>();

  note(reason: string): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
  }

  all(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }
}
