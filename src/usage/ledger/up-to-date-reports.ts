import type { Ledger } from '../../core/ledger.ts';
import type { UsageQuery, UsageRecord, UsageReports, UsageRow, UsageScope } from '../../core/usage-report.ts';

/** What ended a moment ago may be in the ledger's journal only: it is brought to the store before it is reported on. */
export class UpToDateReports implements UsageReports {
  readonly #reports: UsageReports;
  readonly #ledger: Ledger;

  constructor(reports: UsageReports, ledger: Ledger) {
    this.#reports = reports;
    this.#ledger = ledger;
  }

  async sums(query: UsageQuery): Promise<readonly UsageRow[]> {
    await this.#ledger.flush();
    return this.#reports.sums(query);
  }

  async *export(scope: UsageScope): AsyncGenerator<UsageRecord> {
    await this.#ledger.flush();
    yield* this.#reports.export(scope);
  }
}
