import type { Ledger } from '../../core/ledger.ts';
import type { LedgerBacklog, LedgerFinding, LedgerVerdict, LedgerVerification } from '../../core/ledger-check.ts';

type Verified = LedgerVerdict & { readonly backlog: LedgerBacklog };

/** What ended a moment ago may be in the ledger's journal only: it is brought to the store before that is verified. */
export class UpToDateVerification implements LedgerVerification {
  readonly #verifyStore: () => Promise<LedgerVerdict>;
  readonly #ledger: () => Pick<Ledger, 'flush' | 'health'> | null;
  #running: Promise<Verified> | null = null;

  /** `ledger` gives null while this process keeps no usage: then the store is all there is. */
  constructor(verifyStore: () => Promise<LedgerVerdict>, ledger: () => Pick<Ledger, 'flush' | 'health'> | null) {
    this.#verifyStore = verifyStore;
    this.#ledger = ledger;
  }

  verify(): Promise<Verified> {
    this.#running ??= this.#verify().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #verify(): Promise<Verified> {
    await this.#ledger()?.flush();
    const verdict = await this.#verifyStore();
    const health = this.#ledger()?.health() ?? { waiting: 0, problem: null, lost: 0 };
    const { waiting, problem, lost } = health;
    const findings = lost === 0 ? verdict.findings : inOrder([...verdict.findings, lostFinding(lost)]);
    return { ...verdict, findings, backlog: { waiting, problem } };
  }
}

/** The only one that the store cannot tell: what it never got. */
function lostFinding(lost: number): LedgerFinding {
  const message =
    `since it started, ${lost} operations of its journal could be kept nowhere: the store took nothing, and journal and ` +
    'memory were full; answers were given that are not on record';
  return { rule: 'I6', organisationId: null, subject: 'this gateway', message };
}

function inOrder(findings: readonly LedgerFinding[]): readonly LedgerFinding[] {
  return findings.toSorted((a, b) => a.rule.localeCompare(b.rule));
}
