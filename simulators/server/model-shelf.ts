import type { ModelMemory, SimulatedModel } from '../types.ts';
import { untilGone } from './sleep.ts';
import { Slots } from './slots.ts';

export interface ShelvedModel {
  readonly spec: SimulatedModel;
  readonly slots: Slots;
  state: 'loaded' | 'loading' | 'on-disk';
  /** True: a request loaded it, so another request's load may put it out. */
  loadedByRequest: boolean;
  loading: Promise<void> | null;
}

/** The models of one server and which of them are in memory. */
export class ModelShelf {
  readonly #models: readonly ShelvedModel[];
  readonly #loads = new Map<string, number>();
  #busyEvictions = 0;
  #askedWhileLoading = 0;

  constructor(specs: readonly SimulatedModel[], slots: number) {
    this.#models = specs.map((spec) => ({
      spec,
      slots: new Slots(spec.slots ?? slots),
      state: spec.state ?? 'loaded',
      loadedByRequest: false,
      loading: null,
    }));
  }

  all(): readonly ShelvedModel[] {
    return this.#models;
  }

  loaded(): readonly ShelvedModel[] {
    return this.#models.filter((model) => model.state === 'loaded');
  }

  memory(): ModelMemory {
    return { loads: this.#loads, busyEvictions: this.#busyEvictions, askedWhileLoading: this.#askedWhileLoading };
  }

  /** By id or by the id of a loaded instance. */
  find(name: string): ShelvedModel | null {
    return (
      this.#models.find((model) => model.spec.id === name) ??
      this.#models.find((model) => model.spec.instanceIds?.includes(name)) ??
      null
    );
  }

  /**
   * Loads the model unless it is in memory; all who ask meanwhile wait for the same load, which goes on when they
   * leave. At most `keep` models that requests loaded stay in memory.
   */
  async ensureLoaded(model: ShelvedModel, loadMs: number, keep: number, gone: AbortSignal): Promise<void> {
    if (model.state === 'loaded') return;
    if (model.loading !== null) this.#askedWhileLoading++;
    model.loading ??= this.#load(model, loadMs, keep);
    await Promise.race([model.loading, untilGone(gone)]);
  }

  unload(model: ShelvedModel): void {
    model.state = 'on-disk';
    model.loadedByRequest = false;
  }

  async #load(model: ShelvedModel, loadMs: number, keep: number): Promise<void> {
    model.state = 'loading';
    this.#loads.set(model.spec.id, (this.#loads.get(model.spec.id) ?? 0) + 1);
    const others = this.#models.filter((other) => other.loadedByRequest && other.state === 'loaded');
    for (const other of others.slice(0, Math.max(0, others.length + 1 - keep))) {
      if (other.slots.running > 0) this.#busyEvictions++;
      this.unload(other);
    }
    await new Promise((resolve) => setTimeout(resolve, loadMs));
    model.state = 'loaded';
    model.loadedByRequest = true;
    model.loading = null;
  }
}
