import { describe, expect, test } from 'bun:test';
import { DEFAULT_ORGANISATION } from '../../core/caller.ts';
import type { Principal } from '../../core/principal.ts';
import { adminPorts } from './admin-fixture.ts';
import { buildAdminApp } from './app.ts';
import { openApiDocument } from './openapi-document.ts';

interface Operation {
  readonly 'x-permission'?: string;
  readonly requestBody?: unknown;
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

const of = (...grants: Principal['grants']): Principal => ({
  ...{ kind: 'token', id: 'tok_1', name: 'ci', organisationId: DEFAULT_ORGANISATION, grants },
});
const PRINCIPALS: Readonly<Record<string, Principal>> = {
  owner: of({ role: 'owner', projectId: null }),
  nobody: of(),
};

const app = buildAdminApp(
  adminPorts({
    principals: {
      ofToken: async (text) => PRINCIPALS[text] ?? null,
      ofSession: async () => null,
      hasOrganisation: async () => false,
    },
  }),
);
const document = openApiDocument(app, '1') as Document;
const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({
    name: `${method.toUpperCase()} ${path}`,
    path,
    method,
    operation,
  })),
);
const responsesOf = (wanted: string): Operation['responses'] =>
  operations.find(({ name }) => name === wanted)?.operation.responses ?? {};
const administration = operations.filter(({ path }) => path.startsWith('/admin/'));

const asOwner = { authorization: 'Bearer owner' };
const json = { ...asOwner, 'content-type': 'application/json' };
const LONG = JSON.stringify({ name: 'x'.repeat(70 * 1024) });
const WRONG_REQUESTS: Readonly<Record<string, RequestInit>> = {
  'nobody’s credential': {},
  'a credential that opens nothing': { headers: { authorization: 'Bearer wrong' } },
  'a credential without the permission': { headers: { authorization: 'Bearer nobody' } },
  'an organisation that is not there': { headers: { ...asOwner, 'x-swarmrouter-organisation': 'acme' } },
  'a body that is no JSON': { headers: json, body: '{' },
  'a body of another type': { headers: { ...asOwner, 'content-type': 'text/plain' }, body: 'name=x' },
  'a body that is too long': { headers: json, body: LONG },
  'a body of a wrong field': { headers: json, body: '{"no_such_field":1}' },
  'an Idempotency-Key that is none': { headers: { ...json, 'idempotency-key': 'ä' }, body: '{}' },
};

describe('the OpenAPI document', () => {
  for (const { name, path, method, operation } of administration) {
    test(`lists every refusal that a wrong request gets at ${name}`, async () => {
      const seen: string[] = [];
      for (const [what, init] of Object.entries(WRONG_REQUESTS)) {
        if (method === 'get' && init.body !== undefined) continue;
        const url = `http://localhost${path.replaceAll(/\{\w+\}/g, 'some-id')}`;
        const { status } = await app.fetch(new Request(url, { ...init, method: method.toUpperCase() }));
        // This app has no store: what goes through to it fails there.
        if (status >= 400 && status !== 500 && operation.responses[status] === undefined)
          seen.push(`${what}: ${status}`);
      }
      expect(seen).toEqual([]);
    });
  }

  test('lists what stands before every operation: credential, permission, tenant, store and how often', () => {
    const incomplete = administration
      .filter(({ operation }) => operation['x-permission'] !== undefined)
      .filter(({ operation }) => ['401', '403', '404', '429', '503'].some((status) => !(status in operation.responses)))
      .map(({ name }) => name);
    expect(incomplete).toEqual([]);
  });

  test('lists what a body and an Idempotency-Key are refused for', () => {
    const lacking = (statuses: readonly string[], { operation }: { readonly operation: Operation }): boolean =>
      statuses.some((status) => !(status in operation.responses));
    const withBody = operations.filter(({ operation }) => operation.requestBody !== undefined);
    expect(withBody.filter((one) => lacking(['400', '408', '413', '415'], one)).map(({ name }) => name)).toEqual([]);
    const writes = administration.filter(
      ({ method, operation }) => method !== 'get' && operation['x-permission'] !== undefined,
    );
    expect(writes.length).toBeGreaterThan(20);
    expect(writes.filter((one) => lacking(['400', '409', '422'], one)).map(({ name }) => name)).toEqual([]);
  });

  test('keeps what an operation says itself of a status that others have too', () => {
    const responses = responsesOf('POST /admin/projects');
    expect(responses['409']?.description).toBe(
      'There is one of this id already; or the request of this Idempotency-Key is still under way',
    );
    expect(responses['413']?.description).toBe('The body is larger than 64 KiB');
  });

  test('says which codes a chat request is refused with', () => {
    const responses = responsesOf('POST /v1/chat/completions');
    const said = (status: string): string => responses[status]?.description ?? '';
    for (const code of ['model_not_allowed', 'place_not_allowed', 'route_not_allowed'])
      expect(said('403')).toContain(code);
    for (const code of ['rate_limit_exceeded', 'insufficient_quota']) expect(said('429')).toContain(code);
    expect(said('503')).toContain('ledger_unavailable');
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(['401', '408', '508']));
  });
});
