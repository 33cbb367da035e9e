import { afterEach, beforeEach } from 'bun:test';

/** As much of the DOM as the pages use; texts stay texts, as in a browser. */
export class FakeElement {
  static focused: FakeElement | null = null;
  readonly name: string;
  readonly attributes = new Map<string, string>();
  readonly listeners = new Map<string, (event: object) => unknown>();
  children: (FakeElement | string)[] = [];
  value = '';
  constructor(name: string) {
    this.name = name;
  }
  setAttribute(key: string, value: string): void {
    this.attributes.set(key, value);
  }
  append(...children: (FakeElement | string)[]): void {
    this.children.push(...children);
  }
  prepend(...children: (FakeElement | string)[]): void {
    this.children.unshift(...children);
  }
  removeAttribute(key: string): void {
    this.attributes.delete(key);
  }
  focus(): void {
    FakeElement.focused = this;
  }
  addEventListener(type: string, listener: (event: object) => unknown): void {
    this.listeners.set(type, listener);
  }
  get textContent(): string {
    return this.children.map((child) => (typeof child === 'string' ? child : child.textContent)).join('');
  }
  set textContent(text: string) {
    this.children = [text];
  }
  all(name: string): FakeElement[] {
    const below = this.children.flatMap((child) => (typeof child === 'string' ? [] : child.all(name)));
    return this.name === name ? [this, ...below] : below;
  }
}

/** Stands in for `document` in each test of a file. Call it once at the top. */
export function fakeDocument(): void {
  const globals = globalThis as { document?: unknown };
  const documentBefore = globals.document;
  beforeEach(() => {
    globals.document = { createElement: (name: string) => new FakeElement(name) };
  });
  afterEach(() => {
    globals.document = documentBefore;
  });
}
