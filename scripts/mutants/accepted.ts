import type { Mutant } from './find.ts';

interface Accepted {
  readonly path: string;
  /** As `--list` shows it, without the line; of a whole condition its parts too. */
  readonly what: string;
  readonly why: string;
}

/** As the statements of the ledger are written. */
const conditionOn = (table: string): string => `${table}.organisation_id = $${"{col('organisation_id')}"}`;

/** Checks that nothing would be different without, as things are now, and that stay as a second line of defence. */
const ACCEPTED: readonly Accepted[] = [
  {
    path: 'src/admission/key-book.ts',
    what: 'if (!timingSafeEqual(this.#asked, entry.hash))',
    why: 'the map found the entry by the very same hash; this compares it once more in constant time',
  },
  {
    path: 'src/admission/people.ts',
    what: 'found === null in if (!isRight || found === null || found.user.disabledAtMs !== null)',
    why: 'without a user no password is right; the compiler does not know',
  },
  {
    path: 'src/admission/people.ts',
    what: 'if (known === null || known.passwordHash === null)',
    why: 'whoever is of no identity provider has a row and a password; the compiler does not know',
  },
  {
    path: 'src/stores/sql/ledger/statements.ts',
    what: conditionOn('b'),
    why: 'budgets of another tenant that are read too are told apart by their tenant, and passed over',
  },
  {
    path: 'src/stores/sql/ledger/statements.ts',
    what: conditionOn('a'),
    why: 'rows of another tenant that are read and locked too are told apart by their tenant, and passed over',
  },
  {
    path: 'src/stores/sql/ledger/statements.ts',
    what: conditionOn('w'),
    why: 'likewise',
  },
  {
    path: 'src/admission/credential.ts',
    what: "if (value.startsWith('Bearer '))",
    why: 'it only saves the longer way to the same text',
  },
  {
    path: 'src/http/guard.ts',
    what: 'if (known.has(value))',
    why: 'it only saves judging a name again that was found good',
  },
];

/** Why no test needs to miss it; null: a test does. */
export function whyAccepted({ path, what }: Pick<Mutant, 'path' | 'what'>): string | null {
  return (
    ACCEPTED.find((one) => one.path === path && (what === one.what || what.endsWith(` in ${one.what}`)))?.why ?? null
  );
}

/** Those that name no check which is there: it was changed or went away, and what was said of it may not hold. */
export function outdated(mutants: readonly Mutant[]): readonly string[] {
  return ACCEPTED.filter((one) => !mutants.some(({ path, what }) => path === one.path && what === one.what)).map(
    ({ path, what }) => `${path} ${what}`,
  );
}
