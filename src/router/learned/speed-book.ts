import type { Target } from '../../core/target.ts';
import { ModelMeter, type SavedMeter, USUAL_BYTES_PER_TOKEN } from './model-meter.ts';

/** What stands in for a target that nothing was measured of, s. */
export interface UsualSpeeds {
  readonly readingStart: number;
  readonly readingSlope: number;
  readonly secondsPerToken: number;
  readonly load: number;
  readonly bytesPerToken: number;
}

const USUAL_TEXT = { bytesPerToken: USUAL_BYTES_PER_TOKEN };
/** Until anything is measured anywhere: a 7B model on a desktop, and a fast provider. */
const FIRST_GUESS: Readonly<Record<Target['place'], UsualSpeeds>> = {
  local: { readingStart: 0.05, readingSlope: 1 / 1_000, secondsPerToken: 1 / 40, load: 10, ...USUAL_TEXT },
  cloud: { readingStart: 0.6, readingSlope: 1 / 20_000, secondsPerToken: 1 / 60, load: 0, ...USUAL_TEXT },
};

/** A server with more models than this has names that nobody asks for twice. */
const MOST_METERS = 5_000;

interface Page {
  readonly place: Target['place'];
  readonly model: string;
  readonly meter: ModelMeter;
}

/** All that was learned of speeds, by target and model. One per gateway; outlives reloads. */
export class SpeedBook {
  readonly #pages = new Map<string, Page>();
  readonly #usual = { local: new Map<string, UsualSpeeds>(), cloud: new Map<string, UsualSpeeds>() };
  #usualOf = -1;
  #version = 0;

  /** The meter of one model on one target; null: nothing was ever sent there. */
  find(target: Target, model: string): ModelMeter | null {
    return this.#pages.get(keyOf(target.id, target.baseUrl, model))?.meter ?? null;
  }

  /** The same, made if there is none. */
  open(target: Target, model: string): ModelMeter {
    const key = keyOf(target.id, target.baseUrl, model);
    const known = this.#pages.get(key);
    if (known !== undefined) return known.meter;
    const meter = new ModelMeter();
    this.#pages.set(key, { place: target.place, model, meter });
    // Names come from clients too: the oldest go.
    for (const oldest of this.#pages.keys()) {
      if (this.#pages.size <= MOST_METERS) break;
      this.#pages.delete(oldest);
    }
    return meter;
  }

  /** Rises with everything learned. */
  get version(): number {
    return this.#version;
  }

  /** All that was learned of one target, by model. */
  of(target: Target): readonly (readonly [model: string, meter: ModelMeter])[] {
    const own = keyOf(target.id, target.baseUrl, '');
    return [...this.#pages].flatMap(([key, { model, meter }]) =>
      key.startsWith(own) && meter.samples > 0 ? [[model, meter] as const] : [],
    );
  }

  /** Something was learned: what is usual may be something else now. */
  changed(): void {
    this.#version++;
  }

  /** The fleet's medians for a model, else for any model, else a guess. */
  usual(place: Target['place'], model: string): UsualSpeeds {
    if (this.#usualOf !== this.#version) {
      this.#usualOf = this.#version;
      this.#usual.local.clear();
      this.#usual.cloud.clear();
    }
    const known = this.#usual[place].get(model);
    if (known !== undefined) return known;
    const usual = this.#median(place, model);
    if (this.#usual[place].size >= MOST_METERS) this.#usual[place].clear();
    this.#usual[place].set(model, usual);
    return usual;
  }

  #median(place: Target['place'], model: string): UsualSpeeds {
    const here = [...this.#pages.values()].filter((page) => page.place === place);
    const same = here.filter((page) => page.model === model);
    const guess = FIRST_GUESS[place];
    const of = (read: (meter: ModelMeter) => number | null, fallback: number): number =>
      median(same, read) ?? median(here, read) ?? fallback;
    return {
      readingStart: of((meter) => (meter.isMeasured ? meter.reading.start : null), guess.readingStart),
      readingSlope: of((meter) => (meter.isMeasured ? meter.reading.slope : null), guess.readingSlope),
      secondsPerToken: of((meter) => meter.writing.secondsPerToken(1), guess.secondsPerToken),
      load: of((meter) => meter.loadSeconds, guess.load),
      bytesPerToken: median(same, (meter) => meter.bytesPerToken) ?? guess.bytesPerToken,
    };
  }

  /** For keeping over restarts. */
  save(): SavedBook {
    const meters = [...this.#pages].filter(([, { meter }]) => meter.samples > 0);
    return {
      version: 1,
      meters: meters.map(([key, { place, model, meter }]) => ({ key, place, model, ...meter.save() })),
    };
  }

  restore(saved: SavedBook): void {
    for (const { key, place, model, ...page } of saved.meters.slice(0, MOST_METERS)) {
      const meter = new ModelMeter();
      meter.restore(page);
      this.#pages.set(key, { place, model, meter });
    }
    this.changed();
  }
}

export interface SavedBook {
  readonly version: 1;
  readonly meters: readonly (SavedMeter & {
    readonly key: string;
    readonly place: Target['place'];
    readonly model: string;
  })[];
}

/** Another address is another server, whatever its name. */
function keyOf(id: string, baseUrl: string, model: string): string {
  return `${id}\n${baseUrl}\n${model}`;
}

function median(pages: readonly Page[], read: (meter: ModelMeter) => number | null): number | null {
  const values = pages.map(({ meter }) => read(meter)).filter((value) => value !== null);
  if (values.length === 0) return null;
  values.sort((a, b) => a - b);
  const middle = values.length >> 1;
  const upper = values[middle] as number;
  return values.length % 2 === 1 ? upper : ((values[middle - 1] as number) + upper) / 2;
}
