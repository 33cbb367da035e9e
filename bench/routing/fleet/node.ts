import { BLOCK_TOKENS, type TraceRequest } from '../trace/trace.ts';
import type { NodeSpec } from './fleet.ts';

/** What happens to a request at a node, on the node's own clock. */
export interface Schedule {
  readonly slotMs: number;
  readonly prefillMs: number;
  readonly firstTokenMs: number;
  readonly finishedMs: number;
  readonly cachedTokens: number;
  readonly uncachedTokens: number;
  readonly slot: number;
}

interface Slot {
  /** When the last request that was given it leaves it. */
  freeAtMs: number;
  held: TraceRequest | null;
}

/**
 * A model server. It takes requests in the order of arrival, prefills one at a time, and each slot keeps its last
 * prompt and answer. All of that is first come first served, so what happens to a request is settled when it arrives:
 * no later one can change it.
 */
export class SimulatedNode {
  readonly spec: NodeSpec;
  readonly #slots: Slot[];
  #prefillFreeMs = 0;
  #lastSlotMs = 0;
  #loaded: boolean;

  constructor(spec: NodeSpec) {
    this.spec = spec;
    this.#slots = Array.from({ length: spec.slots }, () => ({ freeAtMs: 0, held: null }));
    this.#loaded = spec.loadMs === undefined;
  }

  /** What would happen to a request that arrives now. Changes nothing. */
  preview(request: TraceRequest, arrivalMs: number): Schedule {
    const slotMs = Math.max(arrivalMs, this.#lastSlotMs, this.#earliestFreeMs());
    const { slot, cachedTokens } = this.#chooseSlot(request, slotMs);
    const readyMs = slotMs + (this.#loaded ? 0 : (this.spec.loadMs ?? 0));
    const prefillMs = Math.max(readyMs, this.#prefillFreeMs);
    const uncachedTokens = Math.max(1, request.inputTokens - cachedTokens);
    const firstTokenMs = prefillMs + (uncachedTokens / this.spec.prefillTokensPerSecond) * 1000;
    const finishedMs = firstTokenMs + this.#decodeMs(request, firstTokenMs);
    const cached = request.inputTokens - uncachedTokens;
    return { slotMs, prefillMs, firstTokenMs, finishedMs, cachedTokens: cached, uncachedTokens, slot };
  }

  /** Takes the request. `arrivalMs` never goes back. */
  take(request: TraceRequest, arrivalMs: number): Schedule {
    const schedule = this.preview(request, arrivalMs);
    const slot = this.#slots[schedule.slot];
    if (slot === undefined) throw new Error(`no slot ${schedule.slot} at ${this.spec.name}`);
    slot.freeAtMs = schedule.finishedMs;
    slot.held = request;
    this.#prefillFreeMs = schedule.firstTokenMs;
    this.#lastSlotMs = schedule.slotMs;
    this.#loaded = true;
    return schedule;
  }

  /** When all prompts it has are computed, and when each slot becomes free (ascending). */
  outlook(): { prefillFreeMs: number; slotsFreeMs: number[] } {
    const slotsFreeMs = this.#slots.map((slot) => slot.freeAtMs).sort((a, b) => a - b);
    return { prefillFreeMs: this.#prefillFreeMs, slotsFreeMs };
  }

  #earliestFreeMs(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const slot of this.#slots) earliest = Math.min(earliest, slot.freeAtMs);
    return earliest;
  }

  /** Of the slots that are free then: the one with the longest common beginning, else the one unused for longest. */
  #chooseSlot(request: TraceRequest, atMs: number): { slot: number; cachedTokens: number } {
    let best = -1;
    let bestCached = -1;
    let bestFreeMs = 0;
    this.#slots.forEach(({ freeAtMs, held }, at) => {
      if (freeAtMs > atMs) return;
      const cached = held === null ? 0 : commonTokens(held, request);
      if (cached < bestCached || (cached === bestCached && freeAtMs >= bestFreeMs)) return;
      best = at;
      bestCached = cached;
      bestFreeMs = freeAtMs;
    });
    return { slot: best, cachedTokens: bestCached };
  }

  /** The speed is that of the moment when the answer begins. */
  #decodeMs(request: TraceRequest, firstTokenMs: number): number {
    const { decodeFactors, decodeTokensPerSecond } = this.spec;
    const others = this.#slots.filter((slot) => slot.freeAtMs > firstTokenMs).length;
    const factor = decodeFactors?.[Math.min(others, decodeFactors.length - 1)] ?? 1;
    return (Math.max(0, request.outputTokens - 1) / (decodeTokensPerSecond * factor)) * 1000;
  }
}

/**
 * Whole blocks in common; when the new prompt carries the held one on, its answer too. A trace has no blocks of
 * answers, so a prompt carries on another if it begins with all its whole blocks, of which one alone may be everybody's
 * system prompt, and has room for the answer.
 */
export function commonTokens(held: TraceRequest, next: TraceRequest): number {
  const most = Math.min(held.blocks.length, next.blocks.length);
  let common = 0;
  while (common < most && held.blocks[common] === next.blocks[common]) common++;
  const whole = Math.floor(held.inputTokens / BLOCK_TOKENS);
  const withAnswer = held.inputTokens + held.outputTokens;
  if (whole >= 2 && common >= whole && next.inputTokens >= withAnswer) return withAnswer;
  return Math.min(common * BLOCK_TOKENS, held.inputTokens, next.inputTokens);
}
