// The direction of imports, as docs/adr/0002 and ARCHITECTURE.md draw it:
// cli → main → gateway → http → router → core; cli → discovery → adapters; every other part imports core only.
const part = (name) => `^src/${name}(/|\\.ts$)`;
const LEAF_PARTS = ['adapters', 'config', 'secrets', 'admission', 'identity', 'cache', 'usage', 'stores', 'telemetry'];

/** The only files that name concrete parts and join them. Those beside the gateway are its own: nobody else imports them. */
const BESIDE_THE_GATEWAY = ['accounts', 'open-store', 'books', 'people-desks', 'control-plane', 'door'];

/** Each outside library has one owner folder. */
const OWNERS = {
  hono: '^src/http/admin/',
  '@hono/zod-openapi': '^src/http/admin/',
  zod: '^src/http/admin/',
  yaml: '^src/config/',
  'ipaddr.js': '^src/(adapters|admission|config)/',
  commander: '^src/cli/',
  picocolors: '^src/cli/',
  kysely: '^src/stores/',
  pg: '^src/stores/postgres/',
  'openid-client': '^src/identity/',
};

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'core-imports-nothing',
      comment: 'The vocabulary has no dependencies: no other part, no library, no runtime module.',
      severity: 'error',
      from: { path: '^src/core/', pathNot: '\\.test\\.ts$' },
      to: { pathNot: '^src/core/' },
    },
    ...LEAF_PARTS.map((name) => ({
      name: `${name}-imports-core-only`,
      severity: 'error',
      from: { path: part(name), pathNot: '\\.test\\.ts$' },
      to: { path: '^src/', pathNot: `^src/(core|${name})(/|\\.ts$)` },
    })),
    {
      name: 'router-imports-core-only',
      severity: 'error',
      from: { path: part('router'), pathNot: '\\.test\\.ts$' },
      to: { path: '^src/', pathNot: '^src/(core|router)/' },
    },
    {
      name: 'router-does-no-io',
      comment: 'The engine talks to the world through ports; it opens no file and no socket.',
      severity: 'error',
      from: { path: part('router'), pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['core', 'npm'] },
    },
    {
      name: 'http-imports-router-and-core',
      severity: 'error',
      from: { path: part('http'), pathNot: '\\.test\\.ts$' },
      to: { path: '^src/', pathNot: '^src/(core|router|http)/' },
    },
    {
      name: 'cli-imports-main-config-and-core',
      severity: 'error',
      from: { path: part('cli'), pathNot: '\\.test\\.ts$' },
      to: { path: '^src/', pathNot: '^src/(core|cli|config|discovery)/|^src/(main|version|system-clock)\\.ts$' },
    },
    {
      name: 'discovery-imports-adapters-and-core',
      comment: 'It asks strangers what they are, in the words of the adapters; it knows no gateway.',
      severity: 'error',
      from: { path: part('discovery'), pathNot: '\\.test\\.ts$' },
      to: { path: '^src/', pathNot: '^src/(core|adapters|discovery)/' },
    },
    {
      name: 'main-imports-gateway-config-and-core',
      comment: 'The other files at the root of src are the process entry, not a part of their own.',
      severity: 'error',
      from: { path: '^src/[^/]+\\.ts$', pathNot: `^src/(gateway|${BESIDE_THE_GATEWAY.join('|')})\\.ts$|\\.test\\.ts$` },
      to: { path: '^src/', pathNot: '^src/(core|config)/|^src/[^/]+\\.ts$' },
    },
    {
      name: 'every-folder-of-src-has-a-rule',
      comment: 'A new part gets its place in the order here before it may import anything.',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: `^src/(core|http|router|cli|discovery|${LEAF_PARTS.join('|')})/` },
      to: {},
    },
    {
      name: 'product-uses-known-libraries-only',
      comment: 'A new library gets its owner folder here; tools for tests are none.',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.test\\.ts$' },
      to: {
        path: '(^|/)node_modules/',
        pathNot: `(^|/)node_modules/(${Object.keys(OWNERS).join('|')}|@types|bun-types|openapi3-ts|pg-[a-z-]+)/`,
      },
    },
    {
      name: 'only-the-composition-root-sees-everything',
      comment: 'gateway.ts is imported by main.ts (and tests, demo, bench) alone.',
      severity: 'error',
      from: { path: '^src/', pathNot: '(^src/(main|gateway)\\.ts$|\\.test\\.ts$)' },
      to: { path: '^src/gateway\\.ts$' },
    },
    {
      name: 'only-the-composition-root-imports-itself',
      comment: 'What stands beside gateway.ts is part of it, and nobody else sees it.',
      severity: 'error',
      from: {
        path: '^src/',
        pathNot: `^src/(gateway|${BESIDE_THE_GATEWAY.join('|')})\\.ts$|\\.test\\.ts$`,
      },
      to: { path: `^src/(${BESIDE_THE_GATEWAY.join('|')})\\.ts$` },
    },
    {
      name: 'logins-at-a-provider-are-loaded-at-the-first-one',
      comment: 'Most gateways have no identity provider: neither their start nor their requests pay for it.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/identity/|\\.test\\.ts$' },
      to: { path: '^src/identity/', dependencyTypesNot: ['dynamic-import', 'type-only'] },
    },
    {
      name: 'the-library-of-logins-is-loaded-at-the-first-one',
      severity: 'error',
      from: { path: '^src/identity/', pathNot: '\\.test\\.ts$' },
      to: { path: '(^|/)node_modules/openid-client/', dependencyTypesNot: ['dynamic-import', 'type-only'] },
    },
    {
      name: 'only-the-cli-starts-main',
      severity: 'error',
      from: { path: '^src/', pathNot: '(^src/cli/|\\.test\\.ts$)' },
      to: { path: '^src/main\\.ts$' },
    },
    {
      name: 'no-vendor-imports-another-vendor',
      severity: 'error',
      from: { path: '^src/adapters/([^/]+)/', pathNot: '\\.test\\.ts$' },
      to: { path: '^src/adapters/([^/]+)/', pathNot: '^src/adapters/($1|openai-wire)/' },
    },
    {
      name: 'product-never-imports-tests-or-tools',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.test\\.ts$' },
      to: { path: '^(simulators|test|bench|chaos|scripts)/' },
    },
    {
      name: 'child-process-in-the-launcher-alone',
      severity: 'error',
      from: { path: '^src/', pathNot: '(^src/cli/launch\\.ts$|\\.test\\.ts$)' },
      to: { path: '^(node:)?child_process$' },
    },
    ...Object.entries(OWNERS).map(([library, owner]) => ({
      name: `${library.replaceAll(/[^a-z]+/g, '-').replace(/^-/, '')}-has-one-owner`,
      severity: 'error',
      from: { path: '^src/', pathNot: `(${owner}|\\.test\\.ts$)` },
      to: { path: `(^|/)node_modules/${library.replaceAll('.', '\\.')}/` },
    })),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    exclude: { path: '\\.json$' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['bun', 'import', 'types', 'default'] },
  },
};
