import type { MemoryCounts, SimulatedModel } from '../types.ts';
import { untilGone } from './sleep.ts';
import { Slots } from './slots.ts';

export interface ShelvedModel {
  readonly spec: SimulatedModel;
  readonly slots: Slots;
  state: 'loaded' | 'loading' | 'on-disk';
  /** True: a request loaded it, so another request's load may put it out. */
  loadedByRequest: boolean;
  loading: Promise<void> | null;
  /** Requests that it answers, or that wait for its slots. */
  users: number;
  /** `performance.now()` when it was last taken up or let go. */
  usedAtMs: number;
  /** It goes as soon as it is idle; newcomers wait for its next load. */
  leaving: Promise<void> | null;
  /** Told once when the last of its users has gone. */
  onIdle: (() => void) | null;
  /** Fires when it is put out under the answers that it is writing. */
  putOut: AbortController;
}

/** What a kind of server does when a model has to come into memory. */
export interface LoadingHabit {
  /** Models that stay in memory at once. */
  readonly keep: number;
  /** `by-requests`: models that somebody loaded explicitly neither count nor go. */
  readonly counted: 'by-requests' | 'all';
  /** What happens to a model that has to go while it answers. */
  readonly whenBusy: 'breaks-answers' | 'waits-for-idle';
  /** Requests that come while the model is being loaded load it once more. */
  readonly loadsCopies: boolean;
}

/** A model that answers and is on its way out, until its user lets go. */
export interface ModelUse {
  readonly putOut: AbortSignal;
  done(): void;
}

/** The models of one server and which of them are in memory. */
export class ModelShelf {
  readonly #models: readonly ShelvedModel[];
  readonly #loads = new Map<string, number>();
  #busyEvictions = 0;
  #copies = 0;
  #lastLoad: Promise<void> = Promise.resolve();
  #lastPrompt: Promise<void> = Promise.resolve();

  constructor(specs: readonly SimulatedModel[], slots: number) {
    this.#models = specs.map((spec) => ({
      spec,
      slots: new Slots(spec.slots ?? slots),
      state: spec.state ?? 'loaded',
      loadedByRequest: false,
      loading: null,
      users: 0,
      usedAtMs: performance.now(),
      leaving: null,
      onIdle: null,
      putOut: new AbortController(),
    }));
  }

  all(): readonly ShelvedModel[] {
    return this.#models;
  }

  loaded(): readonly ShelvedModel[] {
    return this.#models.filter((model) => model.state === 'loaded');
  }

  counts(): MemoryCounts {
    return {
      loads: Object.fromEntries(this.#loads),
      busyEvictions: this.#busyEvictions,
      copies: this.#copies,
    };
  }

  /** By id or by the id of a loaded instance. */
  find(name: string): ShelvedModel | null {
    return (
      this.#models.find((model) => model.spec.id === name) ??
      this.#models.find((model) => model.spec.instanceIds?.includes(name)) ??
      null
    );
  }

  /** Loads the model unless it is in memory; a load that has begun goes on when those who asked leave. */
  async ensureLoaded(model: ShelvedModel, loadMs: number, habit: LoadingHabit, gone: AbortSignal): Promise<void> {
    while (!gone.aborted && (model.state !== 'loaded' || model.leaving !== null)) {
      await Promise.race([model.leaving ?? this.#joinLoad(model, loadMs, habit), untilGone(gone)]);
    }
  }

  /** Marks the loaded model as being at work until `done`. */
  use(model: ShelvedModel): ModelUse {
    model.users++;
    model.usedAtMs = performance.now();
    const done = (): void => {
      model.usedAtMs = performance.now();
      if (--model.users > 0) return;
      model.onIdle?.();
      model.onIdle = null;
    };
    return { putOut: model.putOut.signal, done };
  }

  unload(model: ShelvedModel): void {
    model.state = 'on-disk';
    model.loadedByRequest = false;
    model.leaving = null;
    model.slots.forget();
    if (model.users === 0) return;
    this.#busyEvictions++;
    model.putOut.abort();
  }

  /** Prompts are read one after the other, whatever the number of slots. Resolves when this one is read. */
  readPrompt(read: () => Promise<void>): Promise<void> {
    this.#lastPrompt = this.#lastPrompt.then(read);
    return this.#lastPrompt;
  }

  #joinLoad(model: ShelvedModel, loadMs: number, habit: LoadingHabit): Promise<void> {
    if (model.loading !== null && !habit.loadsCopies) return model.loading;
    if (model.loading !== null) this.#copies++;
    model.state = 'loading';
    this.#loads.set(model.spec.id, (this.#loads.get(model.spec.id) ?? 0) + 1);
    const load = (): Promise<void> => this.#load(model, loadMs, habit);
    // Who waits for others to become idle does so in order, or two loads would wait for each other.
    if (habit.whenBusy === 'waits-for-idle') this.#lastLoad = this.#lastLoad.then(load);
    const loading = habit.whenBusy === 'waits-for-idle' ? this.#lastLoad : load();
    model.loading = loading;
    return loading;
  }

  async #load(model: ShelvedModel, loadMs: number, habit: LoadingHabit): Promise<void> {
    await this.#makeRoom(model, habit);
    await new Promise((resolve) => setTimeout(resolve, loadMs));
    // A copy may have come up meanwhile, and may be answering.
    if (model.state === 'loaded') return;
    await this.#makeRoom(model, habit);
    model.state = 'loaded';
    model.loadedByRequest = true;
    model.loading = null;
    model.putOut = new AbortController();
  }

  async #makeRoom(model: ShelvedModel, { keep, counted, whenBusy }: LoadingHabit): Promise<void> {
    const others = this.loaded().filter((other) => other !== model && (counted === 'all' || other.loadedByRequest));
    // The idle ones go first where the busy ones would be waited for.
    const inTurn = whenBusy === 'waits-for-idle' ? others.toSorted((a, b) => a.users - b.users) : others;
    for (const other of inTurn.slice(0, Math.max(0, others.length + 1 - keep))) {
      if (whenBusy === 'waits-for-idle') await this.#letFinish(other);
      this.unload(other);
    }
  }

  #letFinish(model: ShelvedModel): Promise<void> {
    if (model.users === 0) return Promise.resolve();
    model.leaving = new Promise((resolve) => {
      model.onIdle = resolve;
    });
    return model.leaving;
  }
}
