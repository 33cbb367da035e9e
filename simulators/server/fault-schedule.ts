import type { Fault, FaultScope } from '../fault.ts';

/** Which fault the next request meets: those counted out first, then the standing one. */
export class FaultSchedule {
  #standing: Fault | null = null;
  #queue: Fault[] = [];

  get standing(): Fault | null {
    return this.#standing;
  }

  set(fault: Fault | null): void {
    this.#standing = fault;
    if (fault === null) this.#queue = [];
  }

  next(count: number, fault: Fault): void {
    if (fault.kind === 'refuse') {
      throw new TypeError("faultNext: kind 'refuse' closes the port and cannot be counted; use setFault or kill");
    }
    if (!Number.isInteger(count) || count < 1)
      throw new RangeError(`faultNext: count is ${count}, must be an integer >= 1`);
    for (let done = 0; done < count; done++) this.#queue.push(fault);
  }

  take(inference: boolean): Fault | null {
    const at = this.#queue.findIndex((fault) => matches(fault.scope, inference));
    const [queued] = at < 0 ? [] : this.#queue.splice(at, 1);
    if (queued !== undefined) return queued;
    return this.#standing !== null && matches(this.#standing.scope, inference) ? this.#standing : null;
  }
}

function matches(scope: FaultScope | undefined, inference: boolean): boolean {
  return scope === 'all' || (scope === 'listing') !== inference;
}
