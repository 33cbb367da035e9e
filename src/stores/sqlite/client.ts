import { Worker } from 'node:worker_threads';
import { OwnerFenced, StoreClosed, StoreUnavailable } from '../../core/ledger.ts';
import { StoreDamaged } from './faults.ts';
import type { Answer, Asked, Command, Fault } from './protocol.ts';

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Inside the single executable all files are one, but for the threads': scripts/build.ts takes them along by their path in src. */
function threadFile(): URL {
  const fromSources = import.meta.url.endsWith('/client.ts');
  return new URL(fromSources ? './thread.ts' : './stores/sqlite/thread.ts', import.meta.url);
}

/** The event loop's end of SQLite's thread: one command, one answer, in order. */
export class SqliteThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;
  /** Why nothing answers any more; null: it does. */
  #ended: Error | null = null;

  constructor() {
    this.#worker = new Worker(threadFile());
    // What waits for an answer keeps the process alive by itself.
    this.#worker.unref();
    this.#worker.on('message', (answer: Answer) => this.#take(answer));
    this.#worker.on('error', (error) => this.#end(endedBy(`: ${String(error)}`)));
    this.#worker.on('exit', () => this.#end(endedBy('')));
  }

  ask<T>(command: Command): Promise<T> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    const id = this.#next++;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      if (this.#waiting.size === 1) this.#worker.ref();
      this.#worker.postMessage({ id, command } satisfies Asked);
    });
  }

  async close(): Promise<void> {
    if (this.#ended !== null) return;
    const closed = this.ask({ kind: 'close' });
    this.#ended = new StoreClosed();
    await closed;
    await this.#worker.terminate();
    this.#end(this.#ended);
  }

  #take(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (this.#waiting.size === 0) this.#worker.unref();
    if ('fault' in answer) waiting?.reject(errorOf(answer.fault));
    else waiting?.resolve(answer.value);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of all) reject(error);
  }
}

function endedBy(what: string): StoreUnavailable {
  return new StoreUnavailable('failing', `SQLite's thread ended${what}`);
}

function errorOf({ name, message, unavailable, damaged }: Fault): Error {
  if (damaged) return new StoreDamaged(message);
  if (unavailable !== null) return new StoreUnavailable(unavailable, message);
  return name === 'OwnerFenced' ? new OwnerFenced(message) : new Error(message);
}
