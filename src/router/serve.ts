import type { Clock } from '../core/clock.ts';
import { FAILURE_RULES, type UpstreamError } from '../core/failure.ts';
import type { AttemptRecord, Outcome, OutcomeSink } from '../core/outcome.ts';
import type { LeftOut, NoRoute } from '../core/plan.ts';
import type { InferenceRequest } from '../core/request.ts';
import { CommittedStream, type Finished, type ServedStream } from './committed-stream.ts';
import type { HealthProber } from './health.ts';
import type { SlotTable } from './load.ts';
import type { ModelRules } from './models.ts';
import { planRoute } from './plan.ts';
import { RequestLifetime } from './request-lifetime.ts';
import { PlanRunner, type RunOptions, type RunResult } from './run-plan.ts';
import { STRATEGIES } from './strategies/index.ts';
import type { TargetDirectory } from './targets.ts';

export interface ServeOptions extends ModelRules, RunOptions {
  /** Name of a strategy in strategies/index.ts. */
  readonly strategy: string;
  /** Further attempts after the first, ≥ 0. */
  readonly maxRetries: number;
  /** Until the reply begins, queue and retries included, ms. */
  readonly requestTimeoutMs: number;
  /** How long a request may wait for the first round of probes, ms. */
  readonly firstRoundMs: number;
}

/** Who answered, for the reply headers. */
export interface AnsweredBy {
  readonly attempt: AttemptRecord;
  readonly model: string;
  readonly attempts: number;
}

/** What the client gets. Exactly one outcome is recorded for each. */
export type ServeResult =
  | { readonly kind: 'whole'; readonly bytes: Uint8Array; readonly by: AnsweredBy }
  | { readonly kind: 'stream'; readonly by: AnsweredBy; readonly stream: ServedStream }
  | { readonly kind: 'refused'; readonly noRoute: NoRoute }
  | { readonly kind: 'exhausted'; readonly error: UpstreamError; readonly attempts: number }
  | { readonly kind: 'abandoned' };

/** The engine: a request's stages in order. Start reading here. */
export class Engine {
  readonly #directory: TargetDirectory;
  readonly #prober: HealthProber;
  readonly #runner: PlanRunner;
  readonly #clock: Clock;
  readonly #sink: OutcomeSink;
  readonly #options: ServeOptions;
  readonly #running = new Set<RequestLifetime>();

  constructor(
    parts: { directory: TargetDirectory; prober: HealthProber; slots: SlotTable; clock: Clock; sink: OutcomeSink },
    options: ServeOptions,
  ) {
    this.#directory = parts.directory;
    this.#prober = parts.prober;
    this.#clock = parts.clock;
    this.#sink = parts.sink;
    this.#options = options;
    this.#runner = new PlanRunner(parts.directory, parts.slots, parts.clock, options);
  }

  async serve(request: InferenceRequest): Promise<ServeResult> {
    if (!this.#prober.firstRoundDone) await this.#prober.firstRound(this.#options.firstRoundMs);
    const options = {
      ...this.#options,
      strategy: this.#strategyFor(request),
      maxAttempts: this.#options.maxRetries + 1,
    };
    const planned = planRoute(request, [...this.#directory.entries()], options, this.#clock.nowMs());
    if ('noRoute' in planned) return this.#refuse(request, planned.noRoute);
    const lifetime = this.#begin(request);
    const result = await this.#runner.run(request, planned.plan, lifetime.signal, lifetime.deadlineMs);
    lifetime.begun();
    const { leftOut } = planned.plan;
    if (result.kind === 'failed') {
      this.#end(lifetime);
      return this.#fail(request, leftOut, result);
    }
    return this.#answer(request, leftOut, result, lifetime);
  }

  /** Ends every running request with `error`: streams get it as their last event. For the end of a shutdown's grace. */
  interrupt(error: UpstreamError): void {
    for (const lifetime of [...this.#running]) lifetime.interrupt(error);
  }

  #begin(request: InferenceRequest): RequestLifetime {
    const lifetime = new RequestLifetime(request, this.#clock, this.#options.requestTimeoutMs);
    this.#running.add(lifetime);
    return lifetime;
  }

  #end(lifetime: RequestLifetime): void {
    lifetime.end();
    this.#running.delete(lifetime);
  }

  #strategyFor(request: InferenceRequest) {
    const name = request.fence.strategy ?? this.#options.strategy;
    const strategy = STRATEGIES.get(name);
    // http refuses unknown names, config refuses them at start.
    if (strategy === undefined) throw new Error(`unknown strategy "${name}"`);
    return strategy;
  }

  #refuse(request: InferenceRequest, noRoute: NoRoute): ServeResult {
    this.#record({
      kind: 'refused',
      ...this.#common(request, [], noRoute.leftOut),
      clientStatus: noRoute.status,
      clientCode: noRoute.code,
    });
    return { kind: 'refused', noRoute };
  }

  #fail(request: InferenceRequest, leftOut: readonly LeftOut[], result: RunResult & { kind: 'failed' }): ServeResult {
    const { error, attempts } = result;
    const common = this.#common(request, attempts, leftOut);
    if (error.kind === 'cancelled') {
      this.#record({ kind: 'abandoned', ...common, by: null, usage: null });
      return { kind: 'abandoned' };
    }
    const rule = FAILURE_RULES[error.kind];
    this.#record({ kind: 'exhausted', ...common, clientStatus: rule.clientStatus, clientCode: rule.clientCode });
    return { kind: 'exhausted', error, attempts: attempts.length };
  }

  #answer(
    request: InferenceRequest,
    leftOut: readonly LeftOut[],
    result: RunResult & { kind: 'committed' },
    lifetime: RequestLifetime,
  ): ServeResult {
    const { committed, lease, attempts } = result;
    const by = { attempt: committed.record, model: committed.reply.model, attempts: attempts.length };
    const { entry } = lease.choice;
    const finish = (finished: Finished): void => {
      lease.release();
      this.#end(lifetime);
      const answeredBy = { ...committed.record, durationMs: committed.record.durationMs + finished.streamedMs };
      const common = this.#common(request, [...attempts.slice(0, -1), answeredBy], leftOut);
      const answered = { ...common, by: answeredBy, model: committed.reply.model, usage: committed.reply.usage };
      if (finished.error === null) {
        entry.stats.served(answeredBy.durationMs);
        this.#record({ kind: 'served', ...answered });
      } else if (finished.error.kind === 'cancelled') {
        this.#record({ kind: 'abandoned', ...common, by: answeredBy, usage: committed.reply.usage });
      } else {
        this.#directory.failed(entry, committed.record.model, finished.error);
        this.#record({ kind: 'cut', ...answered, failure: finished.error.kind });
      }
    };
    if (committed.kind === 'whole') {
      finish({ error: null, streamedMs: 0 });
      return { kind: 'whole', bytes: committed.reply.bytes, by };
    }
    return { kind: 'stream', by, stream: new CommittedStream(committed, this.#clock, finish) };
  }

  #common(request: InferenceRequest, attempts: readonly AttemptRecord[], leftOut: readonly LeftOut[]) {
    return { request, attempts, leftOut, durationMs: this.#clock.nowMs() - request.acceptedAtMs };
  }

  #record(outcome: Outcome): void {
    this.#sink.record(outcome);
  }
}
