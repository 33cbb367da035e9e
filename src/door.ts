import type { KeyBook } from './admission/key-book.ts';
import { type Admitted, KeyGuard } from './admission/key-guard.ts';
import { RateLimiter } from './admission/rate-limiter.ts';
import type { RecordedRefusals } from './admission/recorded-refusals.ts';
import type { RefusalCounts } from './admission/refusal-counts.ts';
import { type RefusalFrom, refusedKey, refusedRequest } from './admission/refusal-events.ts';
import { RequestGate } from './admission/request-gate.ts';
import type { Caller } from './core/caller.ts';
import type { Clock } from './core/clock.ts';
import type { SharedLimits } from './core/limits.ts';
import type { InferenceRequest } from './core/request.ts';
import type { Secret } from './core/secret.ts';
import type { Engine } from './router/serve.ts';

export interface DoorParts {
  readonly book: KeyBook;
  readonly clock: Clock;
  readonly loopback: boolean;
  readonly operatorKey: Secret;
  readonly sharedLimits: () => SharedLimits;
  readonly engine: Engine;
  readonly refusals: RefusalCounts;
  readonly recordedRefusals: RecordedRefusals;
  readonly countRefused: (caller: Caller) => void;
}

/**
 * Who may come in, for what and how much; counts whom it refuses, and puts on record what is worth it. Part of the
 * composition root.
 */
export function createDoor(parts: DoorParts) {
  const { book, clock, loopback, operatorKey, sharedLimits, engine, refusals, recordedRefusals } = parts;
  const guard = new KeyGuard({ book, clock, loopback, operatorKey });
  const gate = new RequestGate({
    limits: new RateLimiter({ clock, shared: sharedLimits }),
    meaningOf: (requested) => engine.meaningOf(requested),
    isNameOf: (name, model) => engine.isNameOf(name, model),
    plannedModel: (request) => {
      const planned = engine.explain(request);
      return 'plan' in planned ? planned.plan.steps[0].model : null;
    },
  });
  const counted = (admitted: Admitted, from: () => RefusalFrom): Admitted => {
    if (admitted.ok) return admitted;
    refusals.note(admitted.fault);
    if (admitted.fault !== 'missing') recordedRefusals.note(refusedKey(admitted.fault, admitted.keyId, from()));
    return admitted;
  };
  const ports = {
    admit: (headers: Headers, from: () => RefusalFrom) => counted(guard.admit(headers), from),
    admitOperator: (headers: Headers, from: () => RefusalFrom) => counted(guard.admitOperator(headers), from),
    admitRequest: (request: InferenceRequest, from: () => RefusalFrom) => {
      const gated = gate.admit(request);
      if (gated.ok) return gated;
      refusals.note(gated.refusal.code);
      parts.countRefused(request.caller);
      // Limits are no matter of who may do what.
      if (gated.refusal.status === 403) recordedRefusals.note(refusedRequest(request, gated.refusal, from()));
      return gated;
    },
    noteNotAllowed: (request: InferenceRequest, { code }: { readonly code: string }, from: () => RefusalFrom) => {
      refusals.note(code);
      recordedRefusals.note(refusedRequest(request, { code, param: 'model' }, from()));
    },
    shows: (caller: Caller, model: string) => gate.shows(caller, model),
  };
  return { ports, credentialNeeded: () => guard.needed };
}
