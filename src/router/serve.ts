import type { Clock } from '../core/clock.ts';
import { Deadlines } from '../core/deadlines.ts';
import { FAILURE_RULES, type UpstreamError } from '../core/failure.ts';
import type { AttemptRecord, Outcome, OutcomeSink, RequestFacts } from '../core/outcome.ts';
import type { LeftOut, NoRoute } from '../core/plan.ts';
import type { InferenceRequest } from '../core/request.ts';
import type { TargetId } from '../core/target.ts';
import { Backlog } from './backlog.ts';
import { CommittedStream, type Finished, type ServedStream, type StreamTime } from './committed-stream.ts';
import type { HealthProber } from './health.ts';
import type { SlotTable } from './load.ts';
import type { ModelRules } from './models.ts';
import { type PlanOptions, planRoute } from './plan.ts';
import { RequestLifetime } from './request-lifetime.ts';
import { PlanRunner, type RunOptions, type RunResult } from './run-plan.ts';
import { STRATEGIES } from './strategies/index.ts';
import type { CallOnTarget, TargetDirectory } from './targets.ts';

export interface ServeOptions extends ModelRules, RunOptions {
  /** Name of a strategy in strategies/index.ts. */
  readonly strategy: string;
  /** Further attempts after the first, ≥ 0. */
  readonly maxRetries: number;
  /** Until the reply begins, queue and retries included, ms. */
  readonly requestTimeoutMs: number;
  /** How long a request may wait for the first round of probes, ms. */
  readonly firstRoundMs: number;
  /** A client that takes nothing of its stream for this long is let go, ms. */
  readonly clientStallMs: number;
  /** Request bodies are kept for the log until the outcome is recorded. */
  readonly keepBodies: boolean;
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

/** What one set of options comes to. Immutable: new options make another, and a request keeps the one it began with. */
interface InForce {
  readonly options: ServeOptions;
  readonly planByStrategy: ReadonlyMap<string, PlanOptions>;
  readonly runner: PlanRunner;
  readonly time: StreamTime;
}

interface EngineParts {
  readonly directory: TargetDirectory;
  readonly prober: HealthProber;
  readonly slots: SlotTable;
  readonly clock: Clock;
  readonly sink: OutcomeSink;
}

/** The engine: a request's stages in order. Start reading here. */
export class Engine {
  readonly #parts: EngineParts;
  readonly #deadlines: Deadlines;
  readonly #backlog: Backlog;
  readonly #running = new Set<RequestLifetime>();
  #inForce: InForce;

  constructor(parts: EngineParts, options: ServeOptions) {
    this.#parts = parts;
    this.#deadlines = new Deadlines(parts.clock);
    this.#backlog = new Backlog(parts.clock);
    this.#inForce = this.#with(options);
  }

  /** For requests that come from now on. */
  configure(options: ServeOptions): void {
    this.#inForce = this.#with(options);
  }

  #with(options: ServeOptions): InForce {
    const { directory, slots, clock } = this.#parts;
    const maxAttempts = options.maxRetries + 1;
    const plans = [...STRATEGIES].map(([name, strategy]) => [name, { ...options, strategy, maxAttempts }] as const);
    return {
      options,
      planByStrategy: new Map(plans),
      runner: new PlanRunner(directory, slots, clock, options),
      time: { clock, deadlines: this.#deadlines, backlog: this.#backlog, stallMs: options.clientStallMs },
    };
  }

  async serve(request: InferenceRequest): Promise<ServeResult> {
    const { directory, prober, clock } = this.#parts;
    if (!prober.firstRoundDone) await prober.firstRound(this.#inForce.options.firstRoundMs);
    const inForce = this.#inForce;
    const options = planOptionsFor(request, inForce);
    const plan = (tried?: ReadonlySet<TargetId>) =>
      planRoute(request, directory.entries(), options, clock.nowMs(), tried);
    let planned = plan();
    if ('noRoute' in planned && prober.hasNewcomers) {
      // One that has just been configured may be able to: what it has is known in a moment.
      await prober.newcomers();
      planned = plan();
    }
    if ('noRoute' in planned) return this.#refuse(request, planned.noRoute);
    const lifetime = this.#begin(request, inForce.options);
    const result = await inForce.runner.run(request, planned.plan, lifetime, lifetime.deadlineMs, (tried) => {
      const again = plan(tried);
      return 'plan' in again ? again.plan.steps : [];
    });
    lifetime.begun();
    const { leftOut } = planned.plan;
    if (result.kind === 'failed') {
      this.#end(lifetime);
      return this.#fail(request, leftOut, result);
    }
    return this.#answer(request, leftOut, result, lifetime, inForce);
  }

  /** Ends every running request with `error`: streams get it as their last event. For the end of a shutdown's grace. */
  interrupt(error: UpstreamError): void {
    for (const lifetime of [...this.#running]) lifetime.cancel(error);
  }

  #begin(request: InferenceRequest, { requestTimeoutMs }: ServeOptions): RequestLifetime {
    const lifetime = new RequestLifetime(request, this.#deadlines, this.#backlog, requestTimeoutMs);
    this.#running.add(lifetime);
    return lifetime;
  }

  #end(lifetime: RequestLifetime): void {
    lifetime.end();
    this.#running.delete(lifetime);
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
    inForce: InForce,
  ): ServeResult {
    const { committed, lease, attempts } = result;
    const by = { attempt: committed.record, model: committed.reply.model, attempts: attempts.length };
    const facts = this.#factsOf(request);
    const finish = (finished: Finished): void => {
      lease.release();
      this.#end(lifetime);
      this.#judge(lease.call, lifetime, finished, committed.record.durationMs);
      this.#record(outcomeOf(finished));
    };
    const outcomeOf = ({ error, streamedMs }: Finished): Outcome => {
      const last = { ...committed.record, durationMs: committed.record.durationMs + streamedMs };
      const common = this.#common(facts, [...attempts.slice(0, -1), last], leftOut);
      const { model, usage } = committed.reply;
      if (error === null) return { kind: 'served', ...common, by: last, model, usage };
      if (error.kind === 'cancelled') return { kind: 'abandoned', ...common, by: last, usage };
      return { kind: 'cut', ...common, by: last, model, usage, failure: error.kind };
    };
    if (committed.kind === 'whole') {
      finish({ error: null, streamedMs: 0 });
      return { kind: 'whole', bytes: committed.reply.bytes, by };
    }
    return {
      kind: 'stream',
      by,
      stream: new CommittedStream(committed, lease.choice.entry.target.apiKey, inForce.time, finish),
    };
  }

  /** What the end of a reply says of its target: nothing, when it was us or the client who ended it. */
  #judge(call: CallOnTarget, lifetime: RequestLifetime, { error, streamedMs }: Finished, committedMs: number): void {
    if (error === null) this.#parts.directory.finished(call, committedMs + streamedMs);
    else if (error.kind === 'cancelled' || lifetime.cause !== null) this.#parts.directory.givenUp(call);
    else this.#parts.directory.failed(call, error);
  }

  #factsOf(request: InferenceRequest): RequestFacts {
    const { id, operation, requestedModel, stream, includeUsage, fence, hops, traceparent, acceptedAtMs } = request;
    const rawBody = this.#inForce.options.keepBodies ? request.rawBody : null;
    return { id, operation, requestedModel, stream, includeUsage, fence, hops, traceparent, acceptedAtMs, rawBody };
  }

  #common(request: RequestFacts, attempts: readonly AttemptRecord[], leftOut: readonly LeftOut[]) {
    return { request, attempts, leftOut, durationMs: this.#parts.clock.nowMs() - request.acceptedAtMs };
  }

  #record(outcome: Outcome): void {
    this.#parts.sink.record(outcome);
  }
}

function planOptionsFor(request: InferenceRequest, { options, planByStrategy }: InForce): PlanOptions {
  const name = request.fence.strategy ?? options.strategy;
  const plan = planByStrategy.get(name);
  // http refuses unknown names, config refuses them at start.
  if (plan === undefined) throw new Error(`unknown strategy "${name}"`);
  return plan;
}
