import type { Clock } from '../core/clock.ts';
import type { UpstreamError } from '../core/failure.ts';
import type { AttemptRecord, Outcome, RequestFacts } from '../core/outcome.ts';
import type { LeftOut } from '../core/plan.ts';
import type { Secret } from '../core/secret.ts';
import type { TargetId } from '../core/target.ts';
import type { Committed } from './attempt.ts';
import type { Finished } from './committed-stream.ts';
import type { CommittedReply } from './joined-reply.ts';
import type { Lease } from './load.ts';
import type { RequestLifetime } from './request-lifetime.ts';
import type { RunResult } from './run-plan.ts';
import type { TargetDirectory } from './targets.ts';

type CommittedRun = RunResult & { readonly kind: 'committed' };

/** Runs the rest of an answer elsewhere; null: nobody can. */
export type Rerun = (tried: ReadonlySet<TargetId>, attempts: number) => Promise<RunResult | null>;

export interface AnswerFacts {
  readonly facts: RequestFacts;
  readonly leftOut: readonly LeftOut[];
  readonly lifetime: RequestLifetime;
  readonly directory: TargetDirectory;
  readonly clock: Clock;
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
  #secret: Secret | null;
  #finished = false;

  constructor(run: CommittedRun, about: AnswerFacts, end: (outcome: Outcome) => void) {
    this.#about = about;
    this.#end = end;
    this.#attempts = [...run.attempts];
    this.#committed = run.committed;
    this.#committedAtMs = about.clock.nowMs();
    this.#lease = run.lease;
    this.#secret = run.lease.call.target.apiKey;
  }

  /** The key of the target that gives it now: its errors must not repeat it. */
  get secret(): Secret | null {
    return this.#secret;
  }

  finish({ error }: Finished): void {
    if (this.#finished) return;
    this.#finished = true;
    const record = this.#closePart(error, {});
    this.#end(this.#outcome(record, error));
  }

  /** Its server failed: another may give the rest. Null: none can, and the failure stands. */
  async resume(failure: UpstreamError, rerun: Rerun): Promise<CommittedReply | null> {
    this.#closePart(failure, { failure: failure.kind, failureMessage: failure.message, status: failure.status });
    const run = await rerun(new Set(this.#attempts.map(({ targetId }) => targetId)), this.#attempts.length);
    if (run === null) return null;
    if (run.kind === 'failed') {
      if (!this.#finished) this.#attempts.push(...run.attempts);
      return null;
    }
    const { committed, lease } = run;
    // The client left meanwhile (and a request for a stream is never answered otherwise).
    if (this.#finished || committed.kind === 'whole') {
      if (committed.kind === 'stream') committed.reply.cancel();
      lease.release();
      this.#about.directory.givenUp(lease.call);
      return null;
    }
    this.#attempts.push(...run.attempts);
    this.#committed = committed;
    this.#committedAtMs = this.#about.clock.nowMs();
    this.#lease = lease;
    this.#secret = lease.call.target.apiKey;
    return committed;
  }

  /** Frees the slot, judges the target, and brings the attempt's record up to date; once for each part. */
  #closePart(error: UpstreamError | null, change: Partial<AttemptRecord>): AttemptRecord {
    const lease = this.#lease;
    const before = this.#committed.record;
    const at = this.#attempts.findLastIndex(({ targetId }) => targetId === before.targetId);
    if (lease === null) return this.#attempts[at] ?? before;
    this.#lease = null;
    lease.release();
    const durationMs = before.durationMs + this.#about.clock.nowMs() - this.#committedAtMs;
    this.#judge(lease, error, durationMs);
    const record = { ...before, ...change, durationMs };
    this.#attempts[at] = record;
    return record;
  }

  /** What the end of a reply says of its target: nothing, when it was us or the client who ended it. */
  #judge({ call }: Lease, error: UpstreamError | null, durationMs: number): void {
    const { directory, lifetime } = this.#about;
    if (error === null) directory.finished(call, durationMs);
    else if (error.kind === 'cancelled' || lifetime.cause !== null) directory.givenUp(call);
    else directory.failed(call, error);
  }

  #outcome(by: AttemptRecord, error: UpstreamError | null): Outcome {
    const { facts, leftOut, clock } = this.#about;
    const durationMs = clock.nowMs() - facts.acceptedAtMs;
    const common = { request: facts, attempts: this.#attempts, leftOut, durationMs, by };
    const { model, usage } = this.#committed.reply;
    if (error === null) return { kind: 'served', ...common, model, usage };
    if (error.kind === 'cancelled') return { kind: 'abandoned', ...common, usage };
    return { kind: 'cut', ...common, model, usage, failure: error.kind };
  }
}
