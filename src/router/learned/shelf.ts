import type { Target } from '../../core/target.ts';
import { ModelMeter } from './model-meter.ts';
import type { Page } from './page.ts';

/** Calls of so many models that nothing was learned of are remembered; the names come from clients. */
const MOST_DRAFTS = 64;

/** The pages of one target. Each map begins with what was used longest ago. */
export class Shelf {
  readonly #place: Target['place'];
  /** Something was learned. */
  readonly #filed = new Map<string, Page>();
  /** Only called so far: what the server holds of prompts. */
  readonly #drafts = new Map<string, Page>();

  constructor(place: Target['place']) {
    this.#place = place;
  }

  /** Pages with something learned. */
  get size(): number {
    return this.#filed.size;
  }

  get isEmpty(): boolean {
    return this.#filed.size === 0 && this.#drafts.size === 0;
  }

  find(model: string): Page | null {
    return this.#filed.get(model) ?? this.#drafts.get(model) ?? null;
  }

  /** The page of a model that is used now; a draft if there was none. */
  open(model: string): Page {
    const filed = this.#filed.get(model);
    if (filed !== undefined) return putLast(this.#filed, filed);
    const draft = this.#drafts.get(model) ?? { place: this.#place, model, meter: new ModelMeter() };
    putLast(this.#drafts, draft);
    if (this.#drafts.size > MOST_DRAFTS) deleteFirst(this.#drafts);
    return draft;
  }

  /**
   * Something was learned with this meter. Its page, if it is new among what is kept; null: it is there already, or
   * another meter of the model is.
   */
  file(model: string, meter: ModelMeter): Page | null {
    if (this.#filed.has(model)) return null;
    const draft = this.#drafts.get(model);
    this.#drafts.delete(model);
    // A draft that was dropped while its call ran has learned something after all.
    return putLast(this.#filed, draft?.meter === meter ? draft : { place: this.#place, model, meter });
  }

  /** What was used longest ago goes; null: there is nothing. */
  evict(): Page | null {
    return deleteFirst(this.#filed);
  }

  dropDraft(model: string): void {
    this.#drafts.delete(model);
  }

  /** With something learned; what was used longest ago first. */
  filed(): IterableIterator<Page> {
    return this.#filed.values();
  }

  /** The server forgot all prompts. */
  clearCaches(): void {
    for (const { meter } of this.#filed.values()) meter.cache.clear();
    for (const { meter } of this.#drafts.values()) meter.cache.clear();
  }
}

function putLast(pages: Map<string, Page>, page: Page): Page {
  pages.delete(page.model);
  pages.set(page.model, page);
  return page;
}

function deleteFirst(pages: Map<string, Page>): Page | null {
  for (const [model, page] of pages) {
    pages.delete(model);
    return page;
  }
  return null;
}
