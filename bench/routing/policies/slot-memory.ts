import type { ArrivingRequest } from '../policy.ts';

interface RememberedSlot {
  request: ArrivingRequest | null;
  /** null: free. */
  busyWith: number | null;
  /** Order of use. */
  used: number;
}

/** What the slots of a node should hold, if it gives them out as llama.cpp does. */
export class SlotMemory {
  readonly #slots: RememberedSlot[];
  #uses = 0;

  constructor(slots: number) {
    this.#slots = Array.from({ length: slots }, () => ({ request: null, busyWith: null, used: 0 }));
  }

  /** Share of the prompt that a free slot should hold. */
  cachedShare(request: ArrivingRequest): number {
    let most = 0;
    for (const slot of this.#slots) {
      if (slot.busyWith === null && slot.request !== null) most = Math.max(most, common(slot.request, request));
    }
    return most / Math.max(1, request.blocks.length);
  }

  take(request: ArrivingRequest): void {
    const slot = this.#choose(request);
    if (slot === undefined) return;
    slot.request = request;
    slot.busyWith = request.id;
    slot.used = ++this.#uses;
  }

  release(id: number): void {
    for (const slot of this.#slots) {
      if (slot.busyWith !== id) continue;
      slot.busyWith = null;
      slot.used = ++this.#uses;
    }
  }

  #choose(request: ArrivingRequest): RememberedSlot | undefined {
    const rank = (slot: RememberedSlot): number => (slot.request === null ? 0 : common(slot.request, request));
    return this.#slots.filter((slot) => slot.busyWith === null).sort((a, b) => rank(b) - rank(a) || a.used - b.used)[0];
  }
}

function common(held: ArrivingRequest, next: ArrivingRequest): number {
  const most = Math.min(held.blocks.length, next.blocks.length);
  let at = 0;
  while (at < most && held.blocks[at] === next.blocks[at]) at++;
  return at;
}
