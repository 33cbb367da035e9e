import { join } from 'node:path';
import type { BudgetBook } from './admission/budget-book.ts';
import type { BudgetWatch } from './admission/budget-watch.ts';
import type { Config } from './config/config.ts';
import type { AuditSink } from './core/audit.ts';
import type { Billing } from './core/billing.ts';
import type { Clock } from './core/clock.ts';
import type { Ledger } from './core/ledger.ts';
import type { LedgerVerification } from './core/ledger-check.ts';
import type { Logger } from './core/logger.ts';
import { costOf, estimateNanoUsd, type Price, publishedPrices, savedNanoUsd } from './core/price.ts';
import type { UsageReports } from './core/usage-report.ts';
import { modelIndex } from './router/model-index.ts';
import type { TargetDirectory } from './router/targets.ts';
import type { SqlStore } from './stores/sql/sql-store.ts';
import type { PricedCall } from './usage/billing/pricing.ts';
import type { LedgerWatch } from './usage/ledger/ledger-watch.ts';
import type { OperatorPrices } from './usage/prices/operator-prices.ts';

export interface BooksParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly directory: Pick<TargetDirectory, 'get'>;
  readonly budgets: BudgetBook;
  readonly keyName: (id: string) => string | null;
  readonly audit: AuditSink;
  readonly verify: LedgerVerification['verify'];
  readonly prices: Pick<OperatorPrices, 'priceOf' | 'cloudPriceOf'>;
}

export interface Books {
  readonly billing: Billing;
  readonly reports: UsageReports;
  readonly ledger: Ledger;
  readonly watch: BudgetWatch;
  readonly ledgerWatch: LedgerWatch;
  close(): Promise<void>;
}

/** What each call used and cost, on record. Part of the composition root. */
export async function openBooks(
  store: SqlStore,
  config: Pick<Config, 'dataDir' | 'budgetAnswerTokens'>,
  { clock, logger, directory, budgets, keyName, audit, verify, prices }: BooksParts,
): Promise<Books> {
  const [{ openLedger }, { LedgerBilling }, { UsageRepository }, { UpToDateReports }, { sqliteFileLocks }, budgeting] =
    await Promise.all([
      import('./usage/ledger/open-ledger.ts'),
      import('./usage/billing/ledger-billing.ts'),
      import('./stores/sql/repositories/usage.ts'),
      import('./usage/ledger/up-to-date-reports.ts'),
      import('./stores/sqlite/file-locks.ts'),
      Promise.all([
        import('./admission/budget-watch.ts'),
        import('./stores/sql/repositories/budgets.ts'),
        import('./stores/sql/ledger/windows.ts'),
      ]),
    ]);
  const [{ BudgetWatch }, { BudgetRepository }, { windowEndMs, windowStartMs }] = budgeting;
  const [{ LedgerWatch }, { journalOwners }] = await Promise.all([
    import('./usage/ledger/ledger-watch.ts'),
    import('./usage/ledger/adopt-journals.ts'),
  ]);
  const journalFolder = join(config.dataDir, 'journal');
  // A process that ends properly leaves none.
  const afterCrash = (await journalOwners(journalFolder)).length > 0;
  const ledger = await openLedger({
    store,
    clock,
    logger,
    journalFolder,
    locks: sqliteFileLocks,
    newOwnerId: () => Bun.randomUUIDv7(),
  });
  const listed = ({ target, model }: PricedCall) => {
    const snapshot = directory.get(target.id)?.snapshot ?? null;
    return snapshot === null ? null : (modelIndex(snapshot).find(model)?.price ?? null);
  };
  const billing = new LedgerBilling<Price>({
    ledger,
    clock,
    newAttemptId: () => Bun.randomUUIDv7(),
    usualOutputTokens: config.budgetAnswerTokens,
    payerOf: ({ request: { caller }, model: asked }) => {
      const { organisationId, projectId, keyId } = caller;
      const model = budgets.modelName(organisationId, asked);
      return {
        payer: { organisationId, projectId, keyId },
        model,
        hardBudgets: budgets.hardUnits(caller, model),
        namedBudgets: () =>
          budgets.hardBudgets(caller, model).map((budget) => ({
            ...budget,
            resetsAtMs: windowEndMs(budget.window, windowStartMs(budget.window, clock.wallMs())),
          })),
      };
    },
    pricing: {
      priceOf: (call) => prices.priceOf({ ...call, listed: listed(call) }),
      estimateNanoUsd: (prompt, output, price, { longestMs, pictures }) =>
        estimateNanoUsd(prompt, output, price, { runningMs: longestMs, pictures }),
      publishedPrices,
      costOf,
      savedNanoUsd: ({ target, model, nowMs }, usage, cost) =>
        target.place === 'cloud' ? 0 : savedNanoUsd(usage, prices.cloudPriceOf(model, nowMs), cost),
    },
  });
  const budgetRows = new BudgetRepository(store.db);
  const watch = new BudgetWatch({ read: () => budgetRows.states(clock.wallMs()), keyName, clock, logger });
  const ledgerWatch = new LedgerWatch({ verification: { verify }, clock, logger, audit, afterCrash });
  const close = async (): Promise<void> => {
    await ledgerWatch.stop();
    await watch.stop();
    await ledger.close();
  };
  try {
    watch.start();
    ledgerWatch.start();
  } catch (error) {
    await close();
    throw error;
  }
  const reports = new UpToDateReports(new UsageRepository(store.db), ledger);
  return { billing, reports, ledger, watch, ledgerWatch, close };
}
