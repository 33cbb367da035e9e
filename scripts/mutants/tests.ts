const PEOPLE = [
  'test/contract/people.test.ts',
  'test/integration/roles.test.ts',
  'test/integration/oidc.test.ts',
  'test/integration/access-matrix.test.ts',
];

/** By the beginning of a path, the longest first: the tests that guard it, the quick ones first. */
const TESTS: Readonly<Record<string, readonly string[]>> = {
  'src/stores/sql/repositories/audit.ts': ['test/contract/same-ids.test.ts', 'test/contract/audit.test.ts'],
  'src/stores/sql/ledger/': [
    'test/contract/same-ids.test.ts',
    'test/contract/store.test.ts',
    'test/contract/ledger-model.test.ts',
  ],
  'src/stores/sql/migrations/': ['test/contract/budget-parts.test.ts'],
  'src/stores/sql/verify/': ['test/contract/same-ids.test.ts', 'test/contract/ledger-verify.test.ts'],
  'src/stores/': [
    'test/contract/same-ids.test.ts',
    'test/contract/client-keys.test.ts',
    'test/contract/routing.test.ts',
    'test/contract/store.test.ts',
    'test/contract/people.test.ts',
    'test/integration/access-matrix.test.ts',
  ],
  'src/admission/identities.ts': PEOPLE,
  'src/admission/people.ts': PEOPLE,
  'src/admission/sessions.ts': PEOPLE,
  'src/admission/': [
    'src/admission',
    'test/integration/guessed-credentials.test.ts',
    'test/integration/client-keys.test.ts',
    'test/integration/roles.test.ts',
    'test/integration/access-matrix.test.ts',
  ],
  'src/core/': [
    'src/http/admin/permission.test.ts',
    'src/admission',
    'test/integration/roles.test.ts',
    'test/integration/access-matrix.test.ts',
  ],
  'src/http/admin/': [
    'src/http/admin/permission.test.ts',
    'src/http',
    'test/integration/access-matrix.test.ts',
    'test/integration/roles.test.ts',
    'test/integration/path-variants.test.ts',
  ],
  'src/http/': [
    'src/http',
    'test/integration/endpoints.test.ts',
    'test/faults/localhost.test.ts',
    'test/integration/path-variants.test.ts',
    'test/integration/client-keys.test.ts',
  ],
};

/** Files and folders of tests, the quick ones first; none: the path is guarded by no test that is run here. */
export function testsFor(path: string): readonly string[] {
  const beginnings = Object.keys(TESTS).filter((beginning) => path.startsWith(beginning));
  const longest = beginnings.sort((one, other) => other.length - one.length)[0];
  return longest === undefined ? [] : (TESTS[longest] ?? []);
}

export const EVERY_TEST: readonly string[] = Object.values(TESTS).flat();
