import { KeyBook } from '../../src/admission/key-book.ts';
import { KeyGuard } from '../../src/admission/key-guard.ts';
import { applyPolicies } from '../../src/admission/policies.ts';
import { RateLimiter } from '../../src/admission/rate-limiter.ts';
import type { Caller } from '../../src/core/caller.ts';
import { NO_LIMITS, NO_SHARED_LIMITS } from '../../src/core/limits.ts';
import type { RequestFence } from '../../src/core/request.ts';
import { Secret } from '../../src/core/secret.ts';
import { systemClock } from '../../src/system-clock.ts';
import { hashKey, madeKey } from '../../test/support/client-keys.ts';
import { keep, type MicroResult, timePerRunNs } from './harness.ts';

const KEYS = 1_000;
const MANY_KEYS = 10_000;
const FENCE: RequestFence = { place: null, strictModel: false, route: null, maxFirstTokenMs: null };
/** High enough that nobody is refused: what is measured is a request that is let in. */
const LIMITS = { rpm: 1e9, tpm: 1e12, concurrent: 1e6 };

/** Keys that use all there is: policies, and limits of the key, its organisation and the model. */
function fleetOfKeys(count: number) {
  const policies = { models: ['gpt-4o*', 'qwen*'], places: ['local', 'cloud'], routes: null } as const;
  return Array.from({ length: count }, (_, at) => madeKey(`key-${at}`, { policies, limits: LIMITS }));
}

/** What a known key costs a request, from its headers to its lease's end, and how long the start reads keys. */
export function admissionBenchmarks(): MicroResult[] {
  const made = fleetOfKeys(KEYS);
  const book = new KeyBook(
    hashKey,
    made.map(({ key }) => key),
  );
  const guard = new KeyGuard({ book, clock: systemClock, loopback: false, operatorKey: new Secret('operator') });
  const headers = made.map(({ text }) => new Headers({ authorization: `Bearer ${text}`, 'x-request-id': 'r' }));
  const stranger = new Headers({ authorization: 'Bearer sk-of-another-gateway' });
  const callers = headers.map((sent) => callerOf(guard, sent));
  const limits = allLimits();
  let turn = 0;
  const next = <Item>(items: readonly Item[]): Item => items[turn++ % items.length] as Item;
  const many = fleetOfKeys(MANY_KEYS).map(({ key }) => key);
  return [
    { name: `who is calling, ${KEYS} keys`, rounds: timePerRunNs(() => keep(guard.admit(next(headers)))) },
    { name: 'a malformed key is refused', rounds: timePerRunNs(() => keep(guard.admit(stranger))) },
    { name: 'policies and limits of a caller', rounds: timePerRunNs(() => keep(useOnce(limits, next(callers)))) },
    {
      name: 'all of it, with the reply headers',
      rounds: timePerRunNs(() => keep(useOnce(limits, callerOf(guard, next(headers)), true))),
    },
    { name: `${MANY_KEYS} keys are put in force`, rounds: timePerRunNs(() => keep(new KeyBook(hashKey, many))) },
  ];
}

function allLimits(): RateLimiter {
  const limits = { ...NO_LIMITS, ...LIMITS };
  const shared = {
    ...NO_SHARED_LIMITS,
    organisations: new Map([['default', limits]]),
    models: new Map([['gpt-4o', limits]]),
  };
  return new RateLimiter({ clock: systemClock, shared: () => shared });
}

function callerOf(guard: KeyGuard, headers: Headers): Caller {
  const admitted = guard.admit(headers);
  if (!admitted.ok) throw new Error(admitted.refusal.message);
  return admitted.caller;
}

function useOnce(limits: RateLimiter, caller: Caller, withHeaders = false): unknown {
  const allowed = applyPolicies(caller, { models: ['gpt-4o'], route: 'default', fence: FENCE });
  const decision = limits.admit({ caller, model: 'gpt-4o', tokens: 700 });
  if (!allowed.ok || !decision.ok) throw new Error('A request that should pass was refused.');
  const told = withHeaders ? decision.lease.headers() : null;
  decision.lease.settle(600);
  decision.lease.release();
  return told;
}
