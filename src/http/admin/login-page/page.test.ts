import { describe, expect, test } from 'bun:test';
import { FakeElement, fakeDocument } from '../../../../test/support/fake-document.ts';

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}
type Api = (method: string, path: string, body: unknown) => Promise<unknown>;
type Show = (note?: object) => Promise<void>;
interface Page {
  webAddress(text: string): URL | null;
  loginView(ways: object, api: Api, show: Show, note?: object | null): FakeElement[];
  personView(who: object, api: Api, show: Show): FakeElement[];
}

// Beside the text import of the same file that the product makes, so the module needs a name of its own.
const page: Page = await import(`./page.js${'?as-module'}`);
const source = await Bun.file(new URL('./page.js', import.meta.url)).text();
fakeDocument();

const PASSWORD_ONLY = { password: true, oidc: null };
const WITH_OIDC = { password: true, oidc: { issuer: 'https://login.example.com/realms/a', url: '/admin/login/oidc' } };
const ALICE = { name: 'alice', organisation: 'default', login_method: 'password' };

function around(parts: FakeElement[]): FakeElement {
  const root = new FakeElement('main');
  root.append(...parts);
  return root;
}
function recording(answer: (sent: Sent) => unknown = () => ({})) {
  const sent: Sent[] = [];
  const shown: (object | undefined)[] = [];
  const api: Api = async (method, path, body) => {
    sent.push({ method, path, body });
    return answer({ method, path, body });
  };
  const show: Show = async (note) => void shown.push(note);
  return { sent, shown, api, show };
}
const fieldsOf = (root: FakeElement) => root.all('input').filter((input) => !input.attributes.has('hidden'));
async function submit(root: FakeElement, values: readonly string[]): Promise<string> {
  const [form] = root.all('form');
  for (const [at, input] of fieldsOf(root).entries()) input.value = values[at] ?? '';
  await form?.listeners.get('submit')?.({ preventDefault: () => undefined });
  return form?.all('p').find((told) => told.attributes.get('role') === 'alert')?.textContent ?? '';
}

describe('the login page', () => {
  test('sends name and password once, forgets the password, and shows what comes after', async () => {
    const { sent, shown, api, show } = recording();
    const root = around(page.loginView(PASSWORD_ONLY, api, show));
    expect(await submit(root, ['alice', 'secret'])).toBe('');
    expect(sent).toEqual([{ method: 'POST', path: '/admin/login', body: { name: 'alice', password: 'secret' } }]);
    expect([fieldsOf(root)[1]?.value, shown]).toEqual(['', [undefined]]);
  });

  test('says what went wrong where a screen reader hears it, and goes back to the first field', async () => {
    const { shown, api, show } = recording(() => {
      throw new Error('Name or password are wrong.');
    });
    const root = around(page.loginView(PASSWORD_ONLY, api, show));
    expect(await submit(root, ['alice', 'wrong'])).toBe('Name or password are wrong.');
    expect([FakeElement.focused === fieldsOf(root)[0], fieldsOf(root)[1]?.value, shown]).toEqual([true, '', []]);
    expect(root.all('button')[0]?.attributes.has('disabled')).toBe(false);
  });

  test('leads to the identity provider if there is one, by its name', () => {
    const { api, show } = recording();
    expect(around(page.loginView(PASSWORD_ONLY, api, show)).all('a')).toEqual([]);
    const [link] = around(page.loginView(WITH_OIDC, api, show)).all('a');
    expect([link?.textContent, link?.attributes.get('href')]).toEqual([
      'Log in with login.example.com',
      '/admin/login/oidc',
    ]);
  });

  test('shows who is here, what they are, and the form for a password to those alone who have one', () => {
    const { api, show } = recording();
    const grants = [
      { role: 'admin', project: null },
      { role: 'member', project: 'web' },
    ];
    const alice = around(page.personView({ ...ALICE, grants }, api, show));
    for (const text of ['Hello, alice', 'admin, member in web', 'Log out']) expect(alice.textContent).toContain(text);
    expect(alice.all('form')).toHaveLength(1);
    expect(around(page.personView({ ...ALICE, login_method: 'oidc', grants }, api, show)).all('form')).toEqual([]);
  });

  test('changes a password that was typed twice alike', async () => {
    const { sent, api, show } = recording();
    const root = around(page.personView({ ...ALICE, grants: [] }, api, show));
    expect(await submit(root, ['old password', 'new password 1', 'new password 2'])).toContain('not the same');
    expect(sent).toEqual([]);
    expect(await submit(root, ['old password', 'new password 1', 'new password 1'])).toContain('Changed.');
    const body = { current_password: 'old password', new_password: 'new password 1' };
    expect(sent).toEqual([{ method: 'POST', path: '/admin/session/password', body }]);
    expect(fieldsOf(root).map(({ value }) => value)).toEqual(['', '', '']);
  });

  test('logs out, and offers the way out of the provider only if that is a web address', async () => {
    for (const [address, links] of [
      ['https://login.example.com/end', ['https://login.example.com/end']],
      ['javascript:alert(1)', []],
    ] as const) {
      const { sent, shown, api, show } = recording(() => ({ logged_out: true, provider_logout_url: address }));
      const person = around(page.personView({ ...ALICE, grants: [] }, api, show));
      await person
        .all('button')
        .find(({ textContent }) => textContent === 'Log out')
        ?.listeners.get('click')?.({});
      expect(sent).toEqual([{ method: 'DELETE', path: '/admin/session', body: null }]);
      const after = around(page.loginView(PASSWORD_ONLY, api, show, shown[0] ?? null));
      expect(after.all('a').map((link) => String(link.attributes.get('href')))).toEqual([...links]);
    }
  });

  test('gives every field a label and a purpose, so that keyboard, screen reader and password manager find it', () => {
    const { api, show } = recording();
    for (const parts of [page.loginView(WITH_OIDC, api, show), page.personView({ ...ALICE, grants: [] }, api, show)]) {
      const root = around(parts);
      const labels = new Set(root.all('label').map((label) => label.attributes.get('for')));
      for (const input of fieldsOf(root)) {
        expect(labels).toContain(input.attributes.get('id'));
        expect(input.attributes.get('autocomplete')).toMatch(/^(username|current-password|new-password)$/);
      }
      expect(root.all('h1')).toHaveLength(1);
    }
  });

  test('makes no markup of what it is told', () => {
    const evil = '<img src=x onerror=alert(1)>';
    const { api, show } = recording();
    const root = around(page.personView({ ...ALICE, name: evil, grants: [] }, api, show));
    expect([root.all('img'), root.textContent.includes(evil)]).toEqual([[], true]);
    expect(source).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|Storage/);
  });
});
