export interface Step {
  readonly url: URL;
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

interface Kept {
  readonly value: string;
  readonly path: string;
}

/** As much of a browser as a login needs: cookies by origin and path, and redirects, one at a time or to their end. */
export class TestBrowser {
  /** By origin, then by name. */
  readonly cookies = new Map<string, Map<string, Kept>>();

  async step(url: string | URL, init: { method?: string; body?: object; headers?: Record<string, string> } = {}) {
    const at = new URL(url);
    const response = await fetch(at, {
      method: init.method ?? 'GET',
      redirect: 'manual',
      headers: {
        ...{ accept: 'text/html', cookie: this.#sent(at), ...init.headers },
        ...(init.body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(init.body !== undefined && { body: JSON.stringify(init.body) }),
    });
    for (const line of response.headers.getSetCookie()) this.#keep(at.origin, line);
    const step: Step = { url: at, status: response.status, headers: response.headers, text: await response.text() };
    return step;
  }

  /** Follows redirects to their end, or until one leads to what `stopsBefore` says; that one is `next` of the last step. */
  async open(
    url: string | URL,
    stopsBefore: (next: URL) => boolean = () => false,
  ): Promise<Step & { next: URL | null }> {
    let at = new URL(url);
    for (let hops = 0; hops < 20; hops++) {
      const step = await this.step(at);
      const location = step.headers.get('location');
      if (location === null) return { ...step, next: null };
      at = new URL(location, at);
      if (stopsBefore(at)) return { ...step, next: at };
    }
    throw new Error(`too many redirects, the last to ${at}`);
  }

  cookie(origin: string, name: string): string | null {
    return this.cookies.get(origin)?.get(name)?.value ?? null;
  }

  setCookie(origin: string, name: string, value: string): void {
    const own = this.cookies.get(origin) ?? new Map<string, Kept>();
    this.cookies.set(origin, own.set(name, { value, path: '/' }));
  }

  #sent({ origin, pathname }: URL): string {
    return [...(this.cookies.get(origin) ?? [])]
      .filter(([, { path }]) => path === '/' || pathname === path || pathname.startsWith(`${path}/`))
      .map(([name, { value }]) => `${name}=${value}`)
      .join('; ');
  }

  #keep(origin: string, line: string): void {
    const [pair = '', ...attributes] = line.split(';').map((part) => part.trim());
    const [name = '', value = ''] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
    const path = attributes.find((one) => /^path=/i.test(one))?.slice('path='.length) ?? '/';
    const own = this.cookies.get(origin) ?? new Map<string, Kept>();
    if (value === '' || attributes.some((one) => /^max-age=0$/i.test(one))) own.delete(name);
    else own.set(name, { value, path });
    this.cookies.set(origin, own);
  }
}
