import { join } from 'node:path';
import type { Ledger } from '../../core/ledger.ts';
import { adoptJournal, journalOwners, makeJournalFolder } from './adopt-journals.ts';
import { BEAT_EVERY_MS, GroupLedger, type GroupLedgerOptions } from './group-ledger.ts';
import { OwnerWatch } from './owner-watch.ts';

const SILENCE_MS = 3 * BEAT_EVERY_MS;
/** While somebody's death is to be seen. */
const LOOK_OFTEN_MS = 1_000;
const LOOK_MS = 30_000;

/** A ledger over the store. What dead processes left, in the store or in files, is put right within ten seconds. */
export async function openLedger(options: GroupLedgerOptions): Promise<Ledger> {
  await makeJournalFolder(options.journalFolder);
  const ledger = new GroupLedger(options);
  // Before the first file is made: nobody takes it for a dead one's.
  const lock = options.locks.take(lockPath(options.journalFolder, ledger.ownerId));
  const sweeper = new Sweeper(ledger, options);
  await sweeper.look();
  return {
    reserve: (start) => ledger.reserve(start),
    begin: (start) => ledger.begin(start),
    health: () => ledger.health(),
    flush: () => ledger.flush(),
    async close() {
      await sweeper.stop();
      await ledger.close();
      lock?.release();
    },
  };
}

/** Looks for dead processes: hands on what they kept, then ends what they left open. */
class Sweeper {
  readonly #ledger: GroupLedger;
  readonly #options: GroupLedgerOptions;
  readonly #watch = new OwnerWatch(SILENCE_MS);
  #cancel: () => void = () => undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(ledger: GroupLedger, options: GroupLedgerOptions) {
    this.#ledger = ledger;
    this.#options = options;
  }

  look(): Promise<void> {
    this.#running = this.#sweep().then(
      (othersLive) => this.#lookAgain(othersLive ? LOOK_OFTEN_MS : LOOK_MS),
      (error: unknown) => {
        this.#options.logger.debug({ problem: String(error) }, 'no look for dead processes now');
        this.#lookAgain(LOOK_OFTEN_MS);
      },
    );
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#running;
  }

  #lookAgain(delayMs: number): void {
    if (!this.#stopped) this.#cancel = this.#options.clock.after(delayMs, () => void this.look());
  }

  /** Whether there are other processes whose death is to be seen. */
  async #sweep(): Promise<boolean> {
    const { store, clock } = this.#options;
    const neighboursLive = await this.#adopt();
    const others = (await store.owners()).filter(({ ownerId }) => ownerId !== this.#ledger.ownerId);
    const dead = this.#watch.dead(others, clock.nowMs());
    for (const ownerId of dead) await this.#ledger.resolveOrphans(ownerId);
    return neighboursLive || others.length > dead.length;
  }

  /** What the dead of this folder left: whoever lives holds a lock. Whether others do. */
  async #adopt(): Promise<boolean> {
    let othersLive = false;
    const { journalFolder, clock, locks } = this.#options;
    for (const ownerId of await journalOwners(journalFolder)) {
      if (this.#ledger.isOwn(ownerId)) continue;
      const lock = locks.take(lockPath(journalFolder, ownerId));
      if (lock === null) {
        othersLive = true;
        continue;
      }
      try {
        await adoptJournal(journalFolder, ownerId, clock.wallMs(), this.#ledger);
        await this.#ledger.resolveOrphans(ownerId);
      } finally {
        lock.release();
      }
    }
    return othersLive;
  }
}

function lockPath(folder: string, ownerId: string): string {
  return join(folder, `ledger-journal-${ownerId}.lock`);
}
