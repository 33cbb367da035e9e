import { describe, expect, test } from 'bun:test';
import { FakeElement, fakeDocument } from '../../../../test/support/fake-document.ts';
import { adminPorts } from '../admin-fixture.ts';
import { buildAdminApp } from '../app.ts';
import { openApiDocument } from '../openapi-document.ts';

interface Operation {
  readonly path: string;
  readonly method: string;
  readonly operationId: string;
}
interface Page {
  operationsOf(document: object): Operation[];
  exampleBody(document: object, operation: Operation): string | null;
  curlFor(operation: Operation, origin: string, values: Record<string, string>, body: string | null): string;
  schemaLines(document: object, schema: object): string[];
  renderPage(document: object, origin: string, call: (request: object) => Promise<string>): FakeElement[];
}

// Beside the text import of the same file that the product makes, so the module needs a name of its own.
const page: Page = await import(`./page.js${'?as-module'}`);
const source = await Bun.file(new URL('./page.js', import.meta.url)).text();
const openApi = openApiDocument(buildAdminApp(adminPorts()), '9.9.9');
const operation = (id: string): Operation => {
  const found = page.operationsOf(openApi).find(({ operationId }) => operationId === id);
  if (found === undefined) throw new Error(`no operation ${id}`);
  return found;
};

fakeDocument();

function render(document: object, call: (request: object) => Promise<string> = async () => ''): FakeElement {
  const root = new FakeElement('main');
  root.append(...page.renderPage(document, 'http://localhost:8000', call));
  return root;
}

describe('the page', () => {
  test('shows every operation of the document once, each with a curl and a form', () => {
    const ids = page.operationsOf(openApi).map(({ operationId }) => operationId);
    expect(ids).toHaveLength(72);
    const shown = render(openApi).all('details');
    expect(shown.map((view) => view.attributes.get('id') ?? '').sort()).toEqual([...ids].sort());
    for (const view of shown) {
      expect(view.textContent).toContain("curl 'http://localhost:8000/");
      expect(view.all('form')).toHaveLength(1);
    }
  });

  test('gives every field a label, so that a keyboard and a screen reader reach it', () => {
    const root = render(openApi);
    const labels = new Set(root.all('label').map((label) => label.attributes.get('for')));
    for (const field of ['input', 'select', 'textarea'].flatMap((name) => root.all(name))) {
      expect(labels).toContain(field.attributes.get('id'));
    }
  });

  test('sends what the form says, with the key only where one is used', async () => {
    const sent: Record<string, unknown>[] = [];
    const root = render(openApi, async (request) => {
      sent.push({ ...request });
      return '200 OK';
    });
    const key = root.all('input').find((input) => input.attributes.get('type') === 'password');
    if (key === undefined) throw new Error('no key field');
    key.value = ' the-key ';
    for (const id of ['addOverflowProvider', 'getHealth']) {
      const form = root
        .all('details')
        .find((view) => view.attributes.get('id') === id)
        ?.all('form')[0];
      await form?.listeners.get('submit')?.({ preventDefault: () => undefined });
      expect(form?.textContent).toContain('200 OK');
    }
    expect(sent[0]).toMatchObject({ method: 'POST', path: '/admin/overflow_provider', key: 'the-key' });
    expect(JSON.parse(String(sent[0]?.['body']))).toMatchObject({ type: 'openrouter' });
    expect(sent[1]).toMatchObject({ method: 'GET', path: '/health', key: '', body: null });
  });

  test('keeps markup in the description as text', () => {
    const evil = '<img src=x onerror=alert(1)>';
    const root = render({
      info: { title: evil, version: '1' },
      tags: [{ name: 'x', description: evil }],
      paths: { '/x': { get: { operationId: 'x', tags: ['x'], summary: evil, responses: {} } } },
    });
    expect(root.all('img')).toEqual([]);
    expect(root.textContent).toContain(evil);
    expect(source).not.toMatch(
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|localStorage/,
    );
  });
});

describe('the curl of an operation', () => {
  test('quotes what a shell would read, and leaves the key a variable', () => {
    const curl = page.curlFor(operation('addOverflowProvider'), 'http://h', {}, `{"a":"it's"}`);
    expect(curl).toBe(
      [
        "curl 'http://h/admin/overflow_provider' \\",
        '  -H "authorization: Bearer $ADMIN_KEY" \\',
        "  -H 'content-type: application/json' \\",
        String.raw`  -d '{"a":"it'\''s"}'`,
      ].join('\n'),
    );
  });

  test('fills in the path', () => {
    const curl = page.curlFor(operation('removeOverflowProvider'), 'http://h', { name: "a'b/c" }, null);
    expect(curl).toContain("curl 'http://h/admin/overflow_provider/a'\\''b%2Fc'");
    expect(curl).toContain('-X DELETE');
  });
});

describe('what the page says of a schema', () => {
  test('an example of a chat is one that can be sent', () => {
    expect(JSON.parse(page.exampleBody(openApi, operation('createChatCompletion')) ?? '')).toEqual({
      model: 'auto',
      messages: [{ role: 'user', content: 'Say hello.' }],
    });
  });

  test('lists the fields of every variant', () => {
    const lines = page.schemaLines(openApi, { $ref: '#/components/schemas/OverflowProviderRequest' }).join('\n');
    for (const field of [
      '"openrouter"',
      '"azure"',
      '"openai-compatible"',
      'deployments: object',
      'network: "lan" or "public"',
    ]) {
      expect(lines).toContain(field);
    }
  });

  test('ends for a schema that holds itself', () => {
    const recursive = {
      components: { schemas: { A: { type: 'object', properties: { a: { $ref: '#/components/schemas/A' } } } } },
    };
    expect(page.schemaLines(recursive, { $ref: '#/components/schemas/A' }).length).toBeLessThan(20);
  });
});
