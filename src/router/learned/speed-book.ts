import type { Clock } from '../../core/clock.ts';
import type { Target } from '../../core/target.ts';
import { ModelMeter, type SavedMeter } from './model-meter.ts';
import type { Page } from './page.ts';
import { Shelf } from './shelf.ts';
import { type UsualSpeeds, UsualSpeedsOfPlace } from './usual-speeds.ts';

export type { UsualSpeeds } from './usual-speeds.ts';

/** More models than this nobody asks for twice. */
const MOST_PAGES = 5_000;
/** With that many pages medians take milliseconds: they must not be taken after each answer. */
const MEDIANS_MS = 1_000;

/** What was learned of one model, for keeping over restarts; plain data. */
export interface SavedPage extends SavedMeter {
  /** `id`, address and model of the target, a line each. */
  readonly key: string;
  readonly place: Target['place'];
  readonly model: string;
}

/** All that was learned of speeds, by target and model. One per gateway; outlives reloads. */
export class SpeedBook {
  readonly #clock: Pick<Clock, 'nowMs'> | null;
  /** What was used longest ago first. */
  readonly #shelves = new Map<string, Shelf>();
  /** Pages with something learned, on all shelves. */
  #size = 0;
  readonly #usual = { local: new UsualSpeedsOfPlace('local'), cloud: new UsualSpeedsOfPlace('cloud') };
  #usualOf = -1;
  #usualAtMs = Number.NEGATIVE_INFINITY;
  #version = 0;

  /** With a clock medians follow what is learned once a second; without one, at once. */
  constructor(clock: Pick<Clock, 'nowMs'> | null = null) {
    this.#clock = clock;
  }

  /** The meter of one model on one target; null: nothing was sent there lately. */
  find(target: Target, model: string): ModelMeter | null {
    return this.#shelves.get(shelfKey(target))?.find(model)?.meter ?? null;
  }

  /** The same for a call that begins. It is kept once something was learned with it: see `learned`. */
  open(target: Target, model: string): ModelMeter {
    return this.#shelf(shelfKey(target), target.place).open(model).meter;
  }

  /** Something was learned with this meter of `open`. */
  learned(target: Target, model: string, meter: ModelMeter): void {
    this.#file(shelfKey(target), target.place, model, meter);
    this.#version++;
  }

  /** The server has no such model: a name that nothing was learned of is forgotten. */
  missing(target: Target, model: string): void {
    const key = shelfKey(target);
    const shelf = this.#shelves.get(key);
    shelf?.dropDraft(model);
    if (shelf?.isEmpty === true) this.#shelves.delete(key);
  }

  /** Rises with everything learned. */
  get version(): number {
    return this.#version;
  }

  /** All that was learned of one target, by model. */
  of(target: Target): readonly (readonly [model: string, meter: ModelMeter])[] {
    const pages = this.#shelves.get(shelfKey(target))?.filed() ?? [];
    return [...pages].flatMap(({ model, meter }) => (meter.samples > 0 ? [[model, meter] as const] : []));
  }

  /** The server was restarted, or may have been: no prompt is cached there. */
  clearCaches(target: Target): void {
    this.#shelves.get(shelfKey(target))?.clearCaches();
  }

  /** The fleet's medians for a model, else for any model, else a guess. At most a second old. */
  usual(place: Target['place'], model: string): UsualSpeeds {
    if (this.#usualOf !== this.#version) this.#forgetUsual();
    return this.#usual[place].of(model);
  }

  #forgetUsual(): void {
    const nowMs = this.#clock?.nowMs() ?? Number.POSITIVE_INFINITY;
    if (nowMs - this.#usualAtMs < MEDIANS_MS) return;
    this.#usualAtMs = this.#clock === null ? Number.NEGATIVE_INFINITY : nowMs;
    this.#usualOf = this.#version;
    this.#usual.local.forget();
    this.#usual.cloud.forget();
  }

  /**
   * For keeping over restarts, each page read when its turn comes. Targets with few models come first, then what was
   * used last: if there is too much, the rest is the names that one target is flooded with.
   */
  *save(): Generator<SavedPage> {
    const shelves = [...this.#shelves].map(([key, shelf]) => ({ key, pages: [...shelf.filed()].reverse() }));
    shelves.sort((a, b) => a.pages.length - b.pages.length);
    for (const { key, pages } of shelves) {
      for (const { place, model, meter } of pages) {
        if (meter.samples > 0) yield { key: `${addressOf(key)}\n${model}`, place, model, ...meter.save() };
      }
    }
  }

  /** What `save` gave. */
  restore(pages: readonly SavedPage[]): void {
    for (const { key, place, model, ...saved } of pages.slice(0, MOST_PAGES).reverse()) {
      const meter = new ModelMeter();
      meter.restore(saved);
      this.#file(`${place}\n${key.slice(0, -model.length - 1)}`, place, model, meter);
    }
    this.#version++;
  }

  /** Of a target that is used now. */
  #shelf(key: string, place: Target['place']): Shelf {
    const shelf = this.#shelves.get(key) ?? new Shelf(place);
    this.#shelves.delete(key);
    this.#shelves.set(key, shelf);
    return shelf;
  }

  #file(key: string, place: Target['place'], model: string, meter: ModelMeter): void {
    const page = this.#shelf(key, place).file(model, meter);
    if (page === null) return;
    this.#usual[place].add(page);
    this.#size++;
    if (this.#size > MOST_PAGES) this.#evict();
  }

  /** Names come from clients too: whoever has a target asked for thousands of them makes it forget its own only. */
  #evict(): void {
    let largest: readonly [string, Shelf] | null = null;
    for (const each of this.#shelves) if (each[1].size > (largest?.[1].size ?? 0)) largest = each;
    const page = largest?.[1].evict() ?? null;
    if (largest === null || page === null) return;
    this.#forgetPage(page);
    if (largest[1].isEmpty) this.#shelves.delete(largest[0]);
  }

  #forgetPage(page: Page): void {
    this.#usual[page.place].remove(page);
    this.#size--;
  }
}

const keys = new WeakMap<Target, string>();

/** Another address is another server, whatever its name. Planning asks for it with every request. */
function shelfKey(target: Target): string {
  const known = keys.get(target);
  if (known !== undefined) return known;
  const key = `${target.place}\n${target.id}\n${target.baseUrl}`;
  keys.set(target, key);
  return key;
}

function addressOf(key: string): string {
  return key.slice(key.indexOf('\n') + 1);
}
