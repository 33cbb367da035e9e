import { type AuditSink, systemOrigin } from '../../core/audit.ts';
import type { Clock } from '../../core/clock.ts';
import {
  LEDGER_INVARIANTS,
  type LedgerFinding,
  type LedgerInvariant,
  type LedgerVerdict,
  type LedgerVerification,
  type Overcharges,
} from '../../core/ledger-check.ts';
import type { Logger } from '../../core/logger.ts';
import { NANO_PER_USD } from '../../core/price.ts';

export interface LedgerWatchParts {
  readonly verification: LedgerVerification;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly audit: AuditSink;
  /** The process before this one did not end properly: what it left is looked at soon. */
  readonly afterCrash: boolean;
}

/** What the latest check came to. */
export interface LedgerState {
  /** Wall clock, ms since the Unix epoch. */
  readonly checkedAtMs: number;
  readonly findings: Readonly<Record<LedgerInvariant, number>>;
  readonly overcharged: Overcharges;
}

const DAY_MS = 86_400_000;
/** What the dead left open has been ended by then. */
const AFTER_CRASH_MS = 60_000;
/** Of one check, on the audit log: the others are in the log and in `swarmrouter ledger verify`. */
const MOST_ENTRIES = 8;

/**
 * Checks the books by itself (faults A-10): once a day, and soon after a start that followed no proper end. Nothing is
 * mended: what does not agree is an error in the log, a metric, and an entry of the audit log.
 */
export class LedgerWatch {
  readonly #parts: LedgerWatchParts;
  #state: LedgerState | null = null;
  #cancel: () => void = () => undefined;
  #looking: Promise<void> | null = null;
  #stopped = false;

  constructor(parts: LedgerWatchParts) {
    this.#parts = parts;
  }

  /** Null: none was made yet. */
  get state(): LedgerState | null {
    return this.#state;
  }

  start(): void {
    this.#lookIn(this.#parts.afterCrash ? AFTER_CRASH_MS : DAY_MS);
  }

  /** Waits for a check that is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#looking;
  }

  /** Checks now. Never rejects: a store that does not answer is asked again a day later. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  #lookIn(delayMs: number): void {
    if (this.#stopped) return;
    this.#cancel = this.#parts.clock.after(delayMs, () => void this.look().then(() => this.#lookIn(DAY_MS)));
  }

  async #look(): Promise<void> {
    const { verification, clock, logger } = this.#parts;
    try {
      const verdict = await verification.verify();
      const { attempts, findings, overcharged } = verdict;
      this.#state = { checkedAtMs: clock.wallMs(), findings: countsOf(verdict), overcharged };
      if (overcharged.calls > 0) this.#warnOf(overcharged);
      if (findings.length === 0) logger.info({ attempts }, 'the ledger was checked: all of it agrees');
      else await this.#tell(findings);
    } catch (error) {
      logger.warn({ problem: String(error) }, 'the ledger could not be checked');
    }
  }

  /** The books agree: no finding, and nothing for the audit log. */
  #warnOf({ calls, excessNanoUsd, excessTokens }: Overcharges): void {
    this.#parts.logger.warn(
      { calls, excessUsd: excessNanoUsd / NANO_PER_USD, excessTokens },
      'servers charged more than hard budgets had set aside: see swarmrouter ledger verify',
    );
  }

  async #tell(findings: readonly LedgerFinding[]): Promise<void> {
    const { audit, logger } = this.#parts;
    for (const { rule, organisationId, subject, message } of findings) {
      const found = { invariant: rule, organisation: organisationId, subject, found: message };
      logger.error(
        found,
        `the ledger does not keep ${rule} (${LEDGER_INVARIANTS[rule]}): see swarmrouter ledger verify`,
      );
    }
    for (const { rule, organisationId, subject, message } of findings.slice(0, MOST_ENTRIES)) {
      await audit.record({
        origin: systemOrigin('ledger-check'),
        action: 'ledger.finding',
        subject: `ledger:${rule}`,
        after: { subject, message, findings: findings.length },
        ...(organisationId === null ? {} : { organisationId }),
      });
    }
  }
}

function countsOf({ findings }: LedgerVerdict): Record<LedgerInvariant, number> {
  const counts = Object.fromEntries(Object.keys(LEDGER_INVARIANTS).map((rule) => [rule, 0])) as Record<
    LedgerInvariant,
    number
  >;
  for (const { rule } of findings) counts[rule]++;
  return counts;
}
