import type { Bill } from '../core/billing.ts';
import type { Clock } from '../core/clock.ts';
import { FAILURE_RULES, type UpstreamError, withoutSecret } from '../core/failure.ts';
import type { AttemptRecord, Outcome, RequestFacts } from '../core/outcome.ts';
import type { RoutePlan } from '../core/plan.ts';
import type { Secret } from '../core/secret.ts';
import type { TargetId } from '../core/target.ts';
import { asUpstreamError, type Committed } from './attempt.ts';
import { callEnd } from './call-end.ts';
import type { Finished } from './committed-stream.ts';
import type { Drains } from './drains.ts';
import type { Opens } from './joined-reply.ts';
import { promptWasCut } from './learned/prompt-cut.ts';
import type { Lease } from './lease.ts';
import type { RequestLifetime } from './request-lifetime.ts';
import type { RunResult } from './run-plan.ts';
import type { TargetDirectory } from './targets.ts';

type CommittedRun = RunResult & { readonly kind: 'committed' };

/** Runs the rest of an answer on a target that is not among `without`; null: there is none, or no attempt is left. */
export type Rerun = (without: ReadonlySet<TargetId>, attempts: readonly AttemptRecord[]) => Promise<RunResult | null>;

/** What became of one run for the rest: an answer, a target that cannot go on while others may, or nobody. */
type Sequel = 'goes-on' | 'another' | 'nobody';

export interface AnswerFacts {
  readonly facts: RequestFacts;
  readonly plan: RoutePlan;
  readonly lifetime: RequestLifetime;
  readonly directory: TargetDirectory;
  readonly clock: Clock;
  readonly drains: Drains;
}

/** An answer past its commit point: who gives it now, and how it ended. Says so exactly once. */
export class AnswerInProgress {
  readonly #about: AnswerFacts;
  readonly #end: (outcome: Outcome) => void;
  readonly #attempts: AttemptRecord[];
  #committed: Committed;
  #committedAtMs: number;
  /** Null: the server that gave it failed, and its end has been judged. */
  #lease: Lease | null;
  #bill: Bill;
  /** Resolves when what the parts cost cannot be lost any more. */
  #billed: Promise<void> | null = null;
  #secret: Secret | null;
  #resuming = false;
  #finished = false;

  constructor(run: CommittedRun, about: AnswerFacts, end: (outcome: Outcome) => void) {
    this.#about = about;
    this.#end = end;
    this.#attempts = [...run.attempts];
    this.#committed = run.committed;
    this.#committedAtMs = about.clock.nowMs();
    this.#lease = run.lease;
    this.#bill = run.bill;
    this.#secret = keyOf(run.lease);
  }

  /** The key of the target that gives it now: its errors must not repeat it. */
  get secret(): Secret | null {
    return this.#secret;
  }

  /** Its provider charges it to its end, whatever the client does. */
  get isChargedToItsEnd(): boolean {
    return this.#lease?.call.target.onDisconnect === 'drain';
  }

  /** Resolves when what it cost cannot be lost any more; null: it is so already. */
  finish({ error, drained }: Finished): Promise<void> | null {
    if (this.#finished) return this.#billed;
    this.#finished = true;
    const record = this.#closePart(error, {}, drained);
    // An attempt for the rest is on its way, and must not outlive its client.
    if (this.#resuming && error !== null) this.#about.lifetime.cancel(error);
    this.#end(this.#outcome(record, error));
    return this.#billed;
  }

  /** Its server failed: another may give the rest. False: none can, and the failure stands. */
  async resume(thrown: UpstreamError, rerun: Rerun, opens: Opens): Promise<boolean> {
    const { lifetime, clock } = this.#about;
    // It was us or the client who ended it.
    if (this.#finished || lifetime.cause !== null) return false;
    const failure = withoutSecret(thrown, this.#secret);
    this.#closePart(failure, failureFields(failure));
    lifetime.beginsAgain(clock.nowMs());
    this.#resuming = true;
    try {
      for (;;) {
        const run = await rerun(this.#unfit(), this.#attempts);
        const sequel = run === null ? 'nobody' : await this.#follow(run, opens);
        if (sequel !== 'another') return sequel === 'goes-on';
      }
    } finally {
      this.#resuming = false;
      lifetime.begun();
    }
  }

  async #follow(run: RunResult, opens: Opens): Promise<Sequel> {
    if (run.kind === 'failed') {
      this.#attempts.push(...run.attempts);
      this.#billed = run.billed ?? this.#billed;
      // It refuses the request for the rest, which the client did not write: that need not hold for others.
      return run.attempts.at(-1)?.failure === 'rejected' ? 'another' : 'nobody';
    }
    const { committed, lease, bill } = run;
    const openedAtMs = this.#about.clock.nowMs();
    this.#attempts.push(...run.attempts);
    try {
      // A request for a stream is not answered otherwise.
      if (committed.kind === 'whole') throw new Error('a whole reply to a request for a stream');
      await opens(committed);
      if (this.#about.lifetime.cause !== null) throw this.#about.lifetime.cause;
    } catch (thrown) {
      const error = withoutSecret(asUpstreamError(thrown), keyOf(lease));
      if (committed.kind === 'stream') committed.reply.cancel();
      const durationMs = committed.record.durationMs + this.#about.clock.nowMs() - openedAtMs;
      this.#attempts[this.#attempts.length - 1] = {
        ...committed.record,
        ...failureFields(error),
        firstContentMs: null,
        durationMs,
      };
      lease.release();
      this.#billed = bill.end(callEnd(committed.reply, error)) ?? this.#billed;
      this.#judge(lease, error, durationMs);
      return FAILURE_RULES[error.kind].tryNext || error.kind === 'rejected' ? 'another' : 'nobody';
    }
    this.#committed = committed;
    this.#committedAtMs = openedAtMs;
    this.#lease = lease;
    this.#bill = bill;
    this.#secret = keyOf(lease);
    return 'goes-on';
  }

  /** Those that gave a part of it and broke, and those that have the request for it behind them. */
  #unfit(): Set<TargetId> {
    const unfit = new Set<TargetId>();
    for (const { targetId, failure, firstContentMs } of this.#attempts) {
      const mayTryAgain = firstContentMs === null && failure !== null && FAILURE_RULES[failure].trySameAgain;
      if (!mayTryAgain) unfit.add(targetId);
    }
    return unfit;
  }

  /** Frees the slot, judges the target, and brings the attempt's record up to date; once for each part. */
  #closePart(
    error: UpstreamError | null,
    change: Partial<AttemptRecord> = {},
    drained: Promise<void> | null = null,
  ): AttemptRecord {
    const lease = this.#lease;
    const before = this.#committed.record;
    const at = this.#attempts.findLastIndex(({ targetId }) => targetId === before.targetId);
    if (lease === null) return this.#attempts[at] ?? before;
    this.#lease = null;
    lease.release();
    this.#endBill(error, drained);
    const durationMs = before.durationMs + this.#about.clock.nowMs() - this.#committedAtMs;
    const cut = promptWasCut(lease.call.live, this.#committed.reply.usage) ? { promptCut: true } : null;
    this.#judge(lease, error, durationMs);
    const record = { ...before, ...change, ...cut, durationMs };
    this.#attempts[at] = record;
    return record;
  }

  /** What is read after its client has left is paid for, too. */
  #endBill(error: UpstreamError | null, drained: Promise<void> | null): void {
    const bill = this.#bill;
    const { reply } = this.#committed;
    if (drained === null) this.#billed = bill.end(callEnd(reply, error)) ?? this.#billed;
    else void drained.then(() => this.#about.drains.settle(() => bill.end(callEnd(reply, error))));
  }

  /** What the end of a reply says of its target: nothing, when it was us or the client who ended it. */
  #judge({ call }: Lease, error: UpstreamError | null, durationMs: number): void {
    const { directory, lifetime } = this.#about;
    if (error === null) directory.finished(call, durationMs, this.#committed.reply.usage);
    else if (error.kind === 'cancelled' || lifetime.cause !== null) directory.givenUp(call);
    else directory.failed(call, error);
  }

  #outcome(by: AttemptRecord, error: UpstreamError | null): Outcome {
    const { facts, plan, clock } = this.#about;
    const durationMs = clock.nowMs() - facts.acceptedAtMs;
    const common = { request: facts, attempts: [...this.#attempts], leftOut: plan.leftOut, plan, durationMs, by };
    const { model, usage } = this.#committed.reply;
    if (error === null) return { kind: 'served', ...common, model, usage };
    if (error.kind === 'cancelled') return { kind: 'abandoned', ...common, usage };
    return { kind: 'cut', ...common, model, usage, failure: error.kind };
  }
}

/** The one that the call began with: a reload may have given the target another. */
function keyOf({ call }: Lease): Secret | null {
  return call.target.apiKey;
}

function failureFields({ kind, message, status }: UpstreamError): Partial<AttemptRecord> {
  return { failure: kind, failureMessage: message, status };
}
