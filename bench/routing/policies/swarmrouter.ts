import type { ProviderAdapter } from '../../../src/core/adapter.ts';
import type { PlanStep } from '../../../src/core/plan.ts';
import { blockCount, bytesOfBlocks, NO_PROMPT, type PromptFacts } from '../../../src/core/prompt.ts';
import {
  type AdapterKind,
  NOTHING_SAID,
  type Place,
  type Target,
  type TargetSnapshot,
} from '../../../src/core/target.ts';
import type { LearnedModel } from '../../../src/core/target-view.ts';
import type { Lease } from '../../../src/router/lease.ts';
import { SlotTable } from '../../../src/router/load.ts';
import { type PlanOptions, planRoute } from '../../../src/router/plan.ts';
import { Spills } from '../../../src/router/spills.ts';
import { STRATEGIES } from '../../../src/router/strategies/index.ts';
import { TargetDirectory, type TargetEntry } from '../../../src/router/targets.ts';
import type { ArrivingRequest, Decision, PolicyContext, PolicyFactory, RoutingPolicy, Usage } from '../policy.ts';
import { BLOCK_TOKENS } from '../trace/trace.ts';

type Destination = Exclude<Decision, { kind: 'hold' }>;

/** `limitMs`: SWARMROUTER_MAX_FIRST_TOKEN_MS; null: not set. */
export function swarmRouter(limitMs: number | null = null, strategy = 'local-first'): PolicyFactory {
  const limit = limitMs === null ? '' : `, first token within ${limitMs} ms`;
  return {
    name: limitMs === null ? `swarmrouter-${strategy}` : `swarmrouter-${strategy}-${limitMs}`,
    says: `this router: its own planning, directory and slot table (${strategy}${limit})`,
    create: (context) => new SwarmRouterPolicy(context, limitMs, strategy),
  };
}

/** More of the queue's head is not looked at: those behind are not next. */
const LOOK_AHEAD = 64;
const MODEL = 'm';
const FENCE = { place: null, strictModel: false, route: null, maxFirstTokenMs: null };
/** What a gateway assumes of text before it has seen any; the hashes of a trace stand for so many bytes. */
const BYTES_PER_BLOCK = BLOCK_TOKENS * 4.2;

interface Held {
  readonly request: ArrivingRequest;
  readonly prompt: PromptFacts;
  /** Null: it has not begun to wait for something that is only better for a while. */
  waitsUntilMs: number | null;
  /** Targets whose queue it is counted in. */
  waitsFor: readonly TargetEntry[];
}

/** The router's own parts on virtual time; only sockets and the walk over failures are left out. */
export class SwarmRouterPolicy implements RoutingPolicy {
  readonly #context: PolicyContext;
  readonly #directory: TargetDirectory;
  readonly #slots: SlotTable;
  readonly #options: PlanOptions;
  readonly #spills = new Spills();
  readonly #destinations = new Map<string, Destination>();
  readonly #leases = new Map<number, Lease>();
  /** First come first served. */
  #held: Held[] = [];
  #nowMs = 0;

  constructor(context: PolicyContext, limitMs: number | null, strategyName: string) {
    this.#context = context;
    const clock = {
      nowMs: () => this.#nowMs,
      wallMs: () => this.#nowMs,
      // Nothing here waits by timers: held requests are looked at with every event.
      after: () => () => undefined,
    };
    const kinds: readonly AdapterKind[] = ['lm-studio', 'openai-compatible'];
    this.#directory = new TargetDirectory(new Map(kinds.map((kind) => [kind, adapterOf(kind)])), clock);
    for (const [node, { name, slots }] of context.nodes.entries())
      this.#add(name, 'local', slots, { kind: 'node', node });
    for (const [cloud, { name }] of context.clouds.entries()) this.#add(name, 'cloud', null, { kind: 'cloud', cloud });
    this.#slots = new SlotTable(clock, this.#directory, Number.MAX_SAFE_INTEGER);
    const strategy = STRATEGIES.get(strategyName);
    if (strategy === undefined) throw new Error(`no strategy ${strategyName}`);
    this.#options = {
      strategy,
      maxAttempts: 1,
      aliases: new Map(),
      defaultModel: null,
      standIn: 'always',
      maxFirstTokenMs: limitMs,
      spilling: this.#spills.spilling,
    };
  }

  arrive(request: ArrivingRequest, nowMs: number): Decision {
    this.#nowMs = nowMs;
    const held = { request, prompt: promptOf(request), waitsUntilMs: null, waitsFor: [] };
    const decision = this.#decide(held);
    if (decision !== null) return decision;
    this.#held.push(held);
    return { kind: 'hold' };
  }

  firstToken(id: number, nowMs: number): void {
    this.#nowMs = nowMs;
    const lease = this.#leases.get(id);
    if (lease !== undefined) this.#directory.answering(lease.call, nowMs);
  }

  finished(id: number, nowMs: number, usage: Usage): void {
    this.#nowMs = nowMs;
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    this.#leases.delete(id);
    lease.release();
    this.#directory.finished(lease.call, 0, { ...usage, reasoningTokens: 0, costNanoUsd: null });
    this.#serveHeld();
  }

  woken(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#serveHeld();
  }

  /** What it has learned of a node; null: nothing yet. */
  learned(name: string): LearnedModel | null {
    return this.#directory.views().find(({ target }) => target.id === name)?.learned[0] ?? null;
  }

  #serveHeld(): void {
    const still: Held[] = [];
    for (const held of this.#held) {
      const decision =
        isExpired(held, this.#nowMs) || (still.length < LOOK_AHEAD && this.#hasFreeSlot()) ? this.#decide(held) : null;
      if (decision === null) still.push(held);
      else this.#context.dispatch(held.request.id, decision);
    }
    this.#held = still;
  }

  /** The gateway does not plan anew for those who wait while nothing has become free, and nor is that done here. */
  #hasFreeSlot(): boolean {
    return this.#directory.entries().some((entry) => {
      const slots = entry.snapshot?.slots ?? null;
      return slots !== null && entry.inFlight < slots;
    });
  }

  /** Null: it waits for a slot. */
  #decide(held: Held): Destination | null {
    for (const entry of held.waitsFor) entry.queued--;
    held.waitsFor = [];
    const destination = this.#plan(held);
    if (destination === null) for (const entry of held.waitsFor) entry.queued++;
    return destination;
  }

  #plan(held: Held): Destination | null {
    const asked = { operation: 'chat' as const, requestedModel: MODEL, fence: FENCE, prompt: held.prompt };
    const planned = planRoute(asked, this.#directory.entries(), this.#options, this.#nowMs);
    if ('noRoute' in planned) throw new Error(planned.noRoute.message);
    this.#spills.note(MODEL, planned.plan);
    for (const step of planned.plan.steps) {
      if (step.waits && this.#goesOnWaiting(held, step.waitAtMostMs)) {
        held.waitsFor = this.#waitedFor(planned.plan.steps, step.waitAtMostMs !== null);
        return null;
      }
      const lease = step.waits ? null : this.#take(step, held.prompt);
      if (lease === null) continue;
      this.#leases.set(held.request.id, lease);
      return this.#destinations.get(step.target.id) ?? null;
    }
    return null;
  }

  /** As the gateway's queue counts: all that it waits for, or for a while only those that are worth it. */
  #waitedFor(steps: readonly PlanStep[], isBrief: boolean): TargetEntry[] {
    const waited = steps.filter(({ waits, waitAtMostMs }) => waits && (waitAtMostMs !== null) === isBrief);
    return waited.map(({ target }) => this.#directory.get(target.id)).filter((entry) => entry !== undefined);
  }

  /** A wait that is better than the next step is not prolonged by a later plan, as in the gateway. */
  #goesOnWaiting(held: Held, atMostMs: number | null): boolean {
    if (atMostMs === null) return true;
    if (held.waitsUntilMs === null) {
      held.waitsUntilMs = this.#nowMs + atMostMs;
      this.#context.wakeAt(held.waitsUntilMs);
    }
    return this.#nowMs < held.waitsUntilMs;
  }

  #take({ target, model }: PlanStep, prompt: PromptFacts): Lease | null {
    const entry = this.#directory.get(target.id);
    return entry === undefined ? null : this.#slots.take({ entry, model, outOfTurn: false, prompt });
  }

  #add(name: string, place: Place, slots: number | null, destination: Destination): void {
    const entry = this.#directory.put(targetOf(name, place));
    this.#directory.probed(entry, snapshotOf(slots));
    this.#destinations.set(name, destination);
  }
}

/** The blocks as the gateway makes them from text; the trace's are longer. */
function promptOf({ promptBytes, blocks, conversationKey, maxOutputTokens }: ArrivingRequest): PromptFacts {
  const hashes = new Uint32Array(blockCount(promptBytes));
  let chain = 0;
  let covered = 0;
  for (let at = 0; at < hashes.length; at++) {
    const needed = Math.min(blocks.length, Math.ceil(bytesOfBlocks(at + 1) / BYTES_PER_BLOCK));
    for (; covered < needed; covered++) chain = mixed(chain, blocks[covered] ?? 0);
    hashes[at] = mixed(chain, at);
  }
  return {
    ...NO_PROMPT,
    bytes: promptBytes,
    sentBytes: promptBytes,
    maxOutputTokens,
    conversation: conversationKey,
    blocks: hashes,
  };
}

function isExpired({ waitsUntilMs }: Held, nowMs: number): boolean {
  return waitsUntilMs !== null && nowMs >= waitsUntilMs;
}

function mixed(hash: number, value: number): number {
  return Math.imul(Math.imul(hash ^ value, 0x9e3779b1) ^ (hash >>> 15), 0x85ebca6b) >>> 0;
}

function targetOf(id: string, place: Place): Target {
  const clocks = { connectMs: 1, firstByteMs: 1, firstTokenMs: 1, idleMs: 1, warmupMs: 1, streamMs: 1, queueMs: null };
  return {
    id,
    provider: id,
    adapterKind: place === 'local' ? 'lm-studio' : 'openai-compatible',
    place,
    baseUrl: `http://${id}`,
    apiKey: null,
    source: 'yaml',
    optional: false,
    network: 'any',
    maxConcurrent: null,
    clocks,
    defaultModel: null,
    deployments: new Map(),
    apiVersion: null,
    assembleWholeReplies: true,
    continuesAnswers: null,
  };
}

function snapshotOf(slots: number | null): TargetSnapshot {
  const model = { ...NOTHING_SAID, id: MODEL, alsoKnownAs: [], kind: 'chat' as const, state: 'loaded' as const, slots };
  return { models: [model], slots, version: null, warming: false, listsEverything: true, load: null, notes: [] };
}

function adapterOf(kind: AdapterKind): ProviderAdapter {
  const never = () => Promise.reject(new Error('the replay has no servers'));
  return {
    kind,
    operations: new Set(['chat']),
    defaultSlots: 4,
    countsOnlyRead: false,
    finishesPrompt: false,
    loadsOnDemand: false,
    modelsInMemory: null,
    continuesAnswers: false,
    call: never,
    probe: never,
  };
}
