import { type Simulator, startSimulator } from '../simulators/index.ts';
import { type DisturbedServer, disturb, disturbanceAt, isSaid } from './disturbances.ts';
import { askedRestMs, faultOf, isHarmless } from './faults.ts';
import { canariesIn, expectedText, type RequestPlan } from './schedule.ts';
import type { Absence, Arrival, Fleet } from './verdict.ts';

interface ServerSpec extends DisturbedServer {
  /** Absent: no limit, as in the cloud. */
  readonly slots?: number;
  /** Prompts that do not fit are refused in the wire's own words. */
  readonly contextLength: number;
  /** Words of a reply: another number for each, so that a reply joined from two servers' is seen. */
  readonly replyTokens: number;
}

const LARGE = 1_000_000;

export const SERVERS: readonly ServerSpec[] = [
  { name: 'studio-1', kind: 'lm-studio', place: 'local', slots: 8, contextLength: LARGE, replyTokens: 12 },
  { name: 'studio-2', kind: 'lm-studio', place: 'local', slots: 8, contextLength: 2_000, replyTokens: 13 },
  { name: 'llama', kind: 'ollama', place: 'local', slots: 8, contextLength: LARGE, replyTokens: 14 },
  { name: 'cpp', kind: 'llama-cpp', place: 'local', slots: 8, contextLength: 2_000, replyTokens: 15 },
  { name: 'vee', kind: 'vllm', place: 'local', slots: 16, contextLength: LARGE, replyTokens: 16 },
  { name: 'lang', kind: 'sglang', place: 'local', slots: 16, contextLength: LARGE, replyTokens: 17 },
  { name: 'router', kind: 'openrouter', place: 'cloud', contextLength: LARGE, replyTokens: 18 },
  { name: 'azure-1', kind: 'azure-openai', place: 'cloud', contextLength: LARGE, replyTokens: 19 },
  { name: 'other', kind: 'openai-compatible', place: 'cloud', contextLength: LARGE, replyTokens: 20 },
];

export const CLOUD_KEY = 'chaos-key-0123456789';

/** Until a server that is back has been probed, tried, and is in rotation again. */
const BACK_MS = 3_000;
/** A rate limit is kept for what it says; the clocks of two processes are never quite alike. */
const COOLING_MARGIN_MS = 100;
/** Absences are needed for as long as a request may run. */
const REMEMBERED_MS = 60_000;

export interface ChaosOptions {
  readonly seed: number;
  /** Share of the requests that meet a fault at a given server, 0 to 1. */
  readonly faults: number;
  /** Upstream calls that one request may cost, free replays apart. */
  readonly maxAttempts: number;
}

/** Nine servers of all wires, what they do to each request, and what they saw of it. */
export class ChaosServers {
  readonly judged: Fleet;
  readonly #options: ChaosOptions;
  readonly #simulators = new Map<string, Simulator>();
  readonly #arrivals = new Map<number, Arrival[]>();
  #absences: Absence[] = [];
  #disturbing = false;
  #disturber: Promise<void> = Promise.resolve();

  private constructor(options: ChaosOptions) {
    this.#options = options;
    this.judged = {
      targets: SERVERS,
      maxAttempts: options.maxAttempts,
      couldAnswer: (plan, target) => couldAnswer(options, plan, target),
    };
  }

  static async start(options: ChaosOptions): Promise<ChaosServers> {
    const servers = new ChaosServers(options);
    await Promise.all(SERVERS.map((spec) => servers.#start(spec)));
    return servers;
  }

  baseUrl(name: string): string {
    return this.#simulators.get(name)?.baseUrl ?? '';
  }

  /** What the named server answers to this request when nothing goes wrong; null: there is no such server. */
  expected(plan: RequestPlan, name: string): string | null {
    const spec = SERVERS.find((server) => server.name === name);
    return spec === undefined ? null : expectedText(plan, spec.replyTokens);
  }

  /** Where a request arrived so far, in order. */
  arrivals(number: number): readonly Arrival[] {
    return this.#arrivals.get(number) ?? [];
  }

  /** Nothing more may come of this request: what does is a stray. */
  forget(number: number): void {
    this.#arrivals.delete(number);
  }

  /** Once all requests are forgotten: those that reached a server after their end, and where. */
  strays(): { readonly number: number; readonly targets: readonly string[] }[] {
    return [...this.#arrivals].map(([number, arrivals]) => ({ number, targets: arrivals.map(({ target }) => target) }));
  }

  get absences(): readonly Absence[] {
    const oldestMs = performance.now() - REMEMBERED_MS;
    if ((this.#absences[0]?.toMs ?? oldestMs) < oldestMs) {
      this.#absences = this.#absences.filter(({ toMs }) => toMs >= oldestMs);
    }
    return this.#absences;
  }

  /** Generations that have not ended: an upstream call that nobody closed. */
  open(): number {
    return this.#sum((simulator) => simulator.active());
  }

  connections(): number {
    return this.#sum((simulator) => simulator.connections());
  }

  /** One server after the other is killed, silent, loading … for a while, until `calm`. */
  disturb(): void {
    this.#disturbing = true;
    this.#disturber = this.#disturbOneByOne();
  }

  async calm(): Promise<void> {
    this.#disturbing = false;
    await this.#disturber;
  }

  async stop(): Promise<void> {
    await this.calm();
    await Promise.all([...this.#simulators.values()].map((simulator) => simulator.stop()));
  }

  #sum(count: (simulator: Simulator) => number): number {
    return [...this.#simulators.values()].reduce((sum, simulator) => sum + count(simulator), 0);
  }

  async #disturbOneByOne(): Promise<void> {
    for (let index = 0; this.#disturbing; index++) {
      const next = disturbanceAt(this.#options.seed, index, SERVERS);
      const simulator = this.#simulators.get(next.server);
      await Bun.sleep(next.afterMs);
      if (simulator === undefined || !this.#disturbing) return;
      // The request that is told so notes the absence when it comes.
      if (isSaid(next.kind)) {
        await disturb(simulator, next);
        continue;
      }
      const absence = {
        target: next.server,
        why: next.kind,
        fromMs: performance.now(),
        toMs: Number.POSITIVE_INFINITY,
      };
      this.#absences.push(absence);
      await disturb(simulator, next);
      absence.toMs = performance.now() + BACK_MS;
    }
  }

  async #start({ name, kind, place, slots, contextLength, replyTokens }: ServerSpec): Promise<void> {
    const { seed, faults } = this.#options;
    const simulator = await startSimulator({
      kind,
      name,
      models: [{ id: 'sim-model', contextLength }],
      replyTokens,
      ...(slots === undefined ? {} : { slots }),
      ...(place === 'cloud' ? { apiKey: CLOUD_KEY } : {}),
      firstTokenMs: 2,
      logLimit: 0,
      faultFor: ({ rawBody }) => {
        const [number] = canariesIn(rawBody);
        return number === undefined ? null : faultOf(seed, number, name, faults);
      },
      onGeneration: (call, fault) => {
        const [number] = canariesIn(call.rawBody);
        if (number !== undefined) this.#note(number, { target: name, atMs: call.startedAtMs, fault, call });
      },
    });
    this.#simulators.set(name, simulator);
  }

  #note(number: number, arrival: Arrival): void {
    const seen = this.#arrivals.get(number);
    if (seen === undefined) this.#arrivals.set(number, [arrival]);
    else seen.push(arrival);
    const { target, atMs, fault } = arrival;
    const restMs = askedRestMs(fault);
    if (restMs === 0) return;
    this.#absences.push({ target, why: 'asked-to-rest', fromMs: atMs, toMs: atMs + restMs + COOLING_MARGIN_MS });
  }
}

function couldAnswer({ seed, faults }: ChaosOptions, plan: RequestPlan, target: string): boolean {
  const spec = SERVERS.find(({ name }) => name === target);
  if (spec === undefined || plan.promptTokens > spec.contextLength) return false;
  return isHarmless(faultOf(seed, plan.number, target, faults));
}
