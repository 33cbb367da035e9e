import type { Billing } from '../core/billing.ts';
import type { Clock } from '../core/clock.ts';
import { Deadlines } from '../core/deadlines.ts';
import { FAILURE_RULES, type UpstreamError } from '../core/failure.ts';
import type { Logger } from '../core/logger.ts';
import { type AttemptRecord, callsOf, type Outcome, type OutcomeSink, type RequestFacts } from '../core/outcome.ts';
import type { NoRoute, PlanStep, RoutePlan } from '../core/plan.ts';
import type { InferenceRequest, RequestFence } from '../core/request.ts';
import type { TargetId } from '../core/target.ts';
import { AnswerInProgress, type Rerun } from './answer-in-progress.ts';
import { Backlog } from './backlog.ts';
import { CommittedStream, type ServedStream, type StreamTime } from './committed-stream.ts';
import { asksForPlainText, continuationRequest, continuesAnswers, isAtLimit, mayEndHere } from './continuation.ts';
import { type DrainLimits, Drains } from './drains.ts';
import type { HealthProber } from './health.ts';
import { type CommittedReply, JoinedReply } from './joined-reply.ts';
import type { SlotTable } from './load.ts';
import { type AskedModel, isNameOf, type ModelRules, readAskedModel } from './models.ts';
import { onRecord } from './on-record.ts';
import { type PlanOptions, type PlanResult, type Progress, planRoute } from './plan.ts';
import { NOT_REACHED } from './plan-walk.ts';
import { policyRefusal } from './policy-refusal.ts';
import { RequestLifetime } from './request-lifetime.ts';
import { PlanRunner, type RunOptions, type RunResult } from './run-plan.ts';
import { Spills } from './spills.ts';
import { STRATEGIES } from './strategies/index.ts';
import type { TargetDirectory } from './targets.ts';

export interface ServeOptions extends ModelRules, RunOptions {
  /** Name of a strategy in strategies/index.ts. */
  readonly strategy: string;
  /** Broken text answers are continued, unless the request's route says otherwise. */
  readonly streamRecovery: boolean;
  /** How long the first content may take before other targets are worth their price, ms; null: no limit. */
  readonly maxFirstTokenMs: number | null;
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
  readonly billing: Billing;
  readonly logger: Logger;
  /** Of what is read on for clients that have left. Default: DRAIN_LIMITS. */
  readonly drainLimits?: DrainLimits;
}

/** The engine: a request's stages in order. Start reading here. */
export class Engine {
  readonly #parts: EngineParts;
  readonly #deadlines: Deadlines;
  readonly #backlog: Backlog;
  readonly #running = new Set<RequestLifetime>();
  readonly #spills = new Spills();
  readonly #drains: Drains;
  #inForce: InForce;

  constructor(parts: EngineParts, options: ServeOptions) {
    this.#parts = parts;
    this.#deadlines = new Deadlines(parts.clock);
    this.#drains = new Drains(parts.clock, parts.drainLimits, parts.logger);
    this.#backlog = new Backlog(parts.clock);
    this.#inForce = this.#with(options);
  }

  /** For requests that come from now on. */
  configure(options: ServeOptions): void {
    this.#inForce = this.#with(options);
  }

  #with(options: ServeOptions): InForce {
    const { directory, slots, clock, billing } = this.#parts;
    const maxAttempts = options.maxRetries + 1;
    const { spilling } = this.#spills;
    const plans = [...STRATEGIES].map(
      ([name, strategy]) => [name, { ...options, strategy, maxAttempts, spilling }] as const,
    );
    return {
      options,
      planByStrategy: new Map(plans),
      runner: new PlanRunner(directory, slots, clock, options, billing, this.#drains),
      time: { clock, deadlines: this.#deadlines, backlog: this.#backlog, stallMs: options.clientStallMs },
    };
  }

  /** What would be planned for this request now. Sends nothing and changes nothing. */
  explain(request: InferenceRequest): PlanResult {
    const { directory, clock } = this.#parts;
    return planRoute(request, directory.entries(), planOptionsFor(request, this.#inForce), clock.nowMs());
  }

  /** What a model's name stands for now: aliases, the default model and pinned providers resolved. */
  meaningOf(requested: string): AskedModel {
    return readAskedModel(requested, this.#inForce.options, this.#parts.directory.entries());
  }

  /** Whether this name means the model that some server calls `model`. */
  isNameOf(name: string, model: string): boolean {
    return isNameOf(this.meaningOf(name), model, this.#parts.directory.entries());
  }

  async serve(request: InferenceRequest): Promise<ServeResult> {
    const { directory, prober, clock } = this.#parts;
    if (!prober.firstRoundDone) await prober.firstRound(this.#inForce.options.firstRoundMs);
    const inForce = this.#inForce;
    const options = planOptionsFor(request, inForce);
    const plan = (progress?: Progress) => planRoute(request, directory.entries(), options, clock.nowMs(), progress);
    const planning = this.#withNewcomers(plan);
    // Awaited only where there is something to wait for: the slot is then taken in the turn in which it was seen free.
    const planned = planning instanceof Promise ? await planning : planning;
    if ('noRoute' in planned) {
      const planWith = (fence: RequestFence) =>
        planRoute({ ...request, fence }, directory.entries(), options, clock.nowMs());
      return this.#refuse(request, policyRefusal(request, planned.noRoute, planWith) ?? planned.noRoute);
    }
    this.#noteSpill(request, planned.plan, options);
    const lifetime = this.#begin(request, inForce.options);
    const plannedAtMs = clock.nowMs();
    const result = await inForce.runner.run(request, planned.plan, lifetime, lifetime.deadlineMs, async (tried) =>
      stepsOf(await this.#withNewcomers(() => plan({ tried, waitedMs: clock.nowMs() - plannedAtMs }))),
    );
    lifetime.begun();
    if (result.kind === 'failed') {
      this.#end(lifetime);
      // It fails anyway, and nobody is held for ever.
      await onRecord(result.billed, inForce.time);
      return this.#fail(request, planned.plan, result);
    }
    return this.#answer(request, planned.plan, result, lifetime, inForce);
  }

  /** When nobody can serve it, one that has just been configured may: what it has is known in a moment. */
  #withNewcomers(plan: () => PlanResult): PlanResult | Promise<PlanResult> {
    const { prober } = this.#parts;
    const planned = plan();
    return 'noRoute' in planned && prober.hasNewcomers ? prober.newcomers().then(() => plan()) : planned;
  }

  /** Ends every running request with `error`: streams get it as their last event. For the end of a shutdown's grace. */
  interrupt(error: UpstreamError): void {
    for (const lifetime of [...this.#running]) lifetime.cancel(error);
  }

  /** No answer is read on for a client that has left. Resolves when what they used has been handed in. */
  stopDrains(): Promise<void> {
    return this.#drains.stop();
  }

  /** A limit that one request brings along says nothing of the others. */
  #noteSpill({ fence, requestedModel }: InferenceRequest, plan: RoutePlan, { maxFirstTokenMs }: PlanOptions): void {
    const usual = fence.route?.maxFirstTokenMs ?? maxFirstTokenMs;
    if (fence.maxFirstTokenMs === null && usual !== null) this.#spills.note(requestedModel, plan);
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
      ...this.#common(request, [], null),
      leftOut: noRoute.leftOut,
      clientStatus: noRoute.status,
      clientCode: noRoute.code,
    });
    return { kind: 'refused', noRoute };
  }

  #fail(request: InferenceRequest, plan: RoutePlan, result: RunResult & { kind: 'failed' }): ServeResult {
    const { error, attempts } = result;
    const common = { ...this.#common(request, attempts, plan), leftOut: plan.leftOut };
    if (error.kind === 'cancelled') {
      this.#record({ kind: 'abandoned', ...common, by: null, usage: null });
      return { kind: 'abandoned' };
    }
    const rule = FAILURE_RULES[error.kind];
    this.#record({ kind: 'exhausted', ...common, clientStatus: rule.clientStatus, clientCode: rule.clientCode });
    return { kind: 'exhausted', error, attempts: callsOf(attempts) };
  }

  async #answer(
    request: InferenceRequest,
    plan: RoutePlan,
    result: RunResult & { kind: 'committed' },
    lifetime: RequestLifetime,
    inForce: InForce,
  ): Promise<ServeResult> {
    const { directory, clock } = this.#parts;
    const { committed, attempts } = result;
    const by = { attempt: committed.record, model: committed.reply.model, attempts: callsOf(attempts) };
    const about = { facts: this.#factsOf(request), plan, lifetime, directory, clock, drains: this.#drains };
    const answer = new AnswerInProgress(result, about, (outcome) => {
      this.#end(lifetime);
      this.#record(outcome);
    });
    if (committed.kind === 'whole') {
      const recorded = onRecord(answer.finish({ error: null, drained: null }), inForce.time);
      const problem = recorded === null ? null : await recorded;
      if (problem !== null) return { kind: 'exhausted', error: problem, attempts: callsOf(attempts) };
      return { kind: 'whole', bytes: committed.reply.bytes, by };
    }
    result.lease.dropPrompt();
    const source = this.#recovering(committed, request, answer, lifetime, inForce);
    const stream = new CommittedStream(
      source,
      () => answer.secret,
      inForce.time,
      (finished) => answer.finish(finished),
      (cancel) => (answer.isChargedToItsEnd ? this.#drains.begin(cancel) : null),
    );
    // Its call does not end with it: nothing else would tell the stream.
    if (answer.isChargedToItsEnd) lifetime.onCancel(() => request.clientSignal.aborted && stream.cancel());
    return { kind: 'stream', by, stream };
  }

  /** The stream itself, or, where its route says so, one that outlives its server. */
  #recovering(
    committed: CommittedReply,
    request: InferenceRequest,
    answer: AnswerInProgress,
    lifetime: RequestLifetime,
    inForce: InForce,
  ): CommittedReply {
    const wanted = request.fence.route?.streamRecovery ?? inForce.options.streamRecovery;
    if (!wanted || !asksForPlainText(request)) return committed;
    const reply = new JoinedReply(committed, async (failure, soFar, opens) => {
      if (isAtLimit(request, soFar.produced) || !mayEndHere(request, soFar.text)) return false;
      const rest = continuationRequest(request, soFar.prefill, soFar.produced);
      const rerun: Rerun = (without, attempts) => this.#runRest(rest, without, attempts, lifetime, inForce);
      return answer.resume(failure, rerun, opens);
    });
    return { ...committed, reply, held: reply.held, ended: false };
  }

  /** On the targets that can go on with another's answer. */
  async #runRest(
    rest: InferenceRequest,
    unfit: ReadonlySet<TargetId>,
    attempts: readonly AttemptRecord[],
    lifetime: RequestLifetime,
    inForce: InForce,
  ): Promise<RunResult | null> {
    const { directory, clock } = this.#parts;
    const usual = planOptionsFor(rest, inForce);
    // As in the walk of a plan: whom it did not reach it burdened not.
    const charged = attempts.filter(({ failure }) => failure === null || !NOT_REACHED.has(failure)).length;
    const options = { ...usual, maxAttempts: usual.maxAttempts - charged };
    if (options.maxAttempts <= 0) return null;
    const plan = (without: ReadonlySet<TargetId>) => {
      const unable = directory.entries().filter((entry) => !continuesAnswers(entry));
      const excluded = new Set([...unfit, ...without, ...unable.map(({ target }) => target.id)]);
      return planRoute(rest, directory.entries(), options, clock.nowMs(), { tried: excluded, waitedMs: 0 });
    };
    const planned = plan(new Set());
    if ('noRoute' in planned) return null;
    return inForce.runner.run(
      rest,
      planned.plan,
      lifetime,
      lifetime.deadlineMs,
      async (without) => stepsOf(plan(without)),
      attempts.length,
    );
  }

  #factsOf(request: InferenceRequest): RequestFacts {
    const { id, operation, caller, rateLease, requestedModel, stream, includeUsage } = request;
    const { fence, hops, traceparent, acceptedAtMs } = request;
    const rawBody = this.#inForce.options.keepBodies ? request.rawBody : null;
    return {
      ...{ id, operation, caller, rateLease, requestedModel, stream, includeUsage },
      ...{ fence, hops, traceparent, acceptedAtMs, rawBody },
    };
  }

  #common(request: RequestFacts, attempts: readonly AttemptRecord[], plan: RoutePlan | null) {
    return { request, attempts, plan, durationMs: this.#parts.clock.nowMs() - request.acceptedAtMs };
  }

  #record(outcome: Outcome): void {
    this.#parts.sink.record(outcome);
  }
}

function stepsOf(planned: PlanResult): readonly PlanStep[] {
  return 'plan' in planned ? planned.plan.steps : [];
}

function planOptionsFor(request: InferenceRequest, { options, planByStrategy }: InForce): PlanOptions {
  const name = request.fence.route?.strategy ?? options.strategy;
  const plan = planByStrategy.get(name);
  // http refuses unknown names, config refuses them at start.
  if (plan === undefined) throw new Error(`unknown strategy "${name}"`);
  return plan;
}
