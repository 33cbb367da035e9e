import type { Ledger } from '../../core/ledger.ts';
import { BEAT_EVERY_MS, GroupLedger, type GroupLedgerOptions } from './group-ledger.ts';
import { OwnerWatch } from './owner-watch.ts';
import { adoptSpills, makeSpillFolder, spillOwners } from './spill-file.ts';

const SILENCE_MS = 3 * BEAT_EVERY_MS;
/** While somebody's death is to be seen. */
const LOOK_OFTEN_MS = 1_000;
const LOOK_MS = 30_000;

/** A ledger over the store. What dead processes left, in the store or in files, is put right within ten seconds. */
export async function openLedger(options: GroupLedgerOptions): Promise<Ledger> {
  await makeSpillFolder(options.spillFolder);
  const ledger = new GroupLedger(options);
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

  /** Whether other processes have attempts open. */
  async #sweep(): Promise<boolean> {
    const { store, clock, spillFolder } = this.#options;
    const others = (await store.owners()).filter(({ ownerId }) => ownerId !== this.#ledger.ownerId);
    const dead = new Set(this.#watch.dead(others, clock.nowMs()));
    const living = new Set(others.map(({ ownerId }) => ownerId).filter((ownerId) => !dead.has(ownerId)));
    for (const ownerId of await spillOwners(spillFolder)) {
      if (living.has(ownerId) || this.#ledger.isOwn(ownerId)) continue;
      await adoptSpills(spillFolder, ownerId, (operations) => this.#ledger.takeOver(operations));
    }
    for (const ownerId of dead) await this.#ledger.resolveOrphans(ownerId);
    return living.size > 0;
  }
}
