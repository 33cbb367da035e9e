import type { AdapterKind } from '../core/target.ts';

export type UrlCheck = { readonly ok: true; readonly url: string } | { readonly ok: false; readonly reason: string };

/** An http or https address without anything that could hide a credential or break joining a path. Trailing slashes go. */
export function checkUrl(text: string): UrlCheck {
  if (!/^https?:\/\//i.test(text)) {
    return { ok: false, reason: 'it must start with http:// or https://' };
  }
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return { ok: false, reason: 'it is not a valid URL' };
  }
  if (url.username !== '' || url.password !== '') {
    return { ok: false, reason: 'a URL must not hold a user name or password; give the key in its own setting' };
  }
  if (url.search !== '' || text.includes('?')) return { ok: false, reason: 'it must not have a query (`?…`)' };
  if (url.hash !== '' || text.includes('#')) return { ok: false, reason: 'it must not have a fragment (`#…`)' };
  return { ok: true, url: `${url.origin}${url.pathname}`.replace(/\/+$/, '') };
}

/** `http://2130706433` and `http://0x7f.1` are 127.0.0.1 spelled to look harmless: people write an address as it is. */
export function isOddAddress(text: string): boolean {
  const host = URL.parse(text)?.hostname ?? '';
  return /^[\d.]+$/.test(host) && !text.includes(host);
}

/** Wires whose base is the server's root: people paste the OpenAI base that clients use, `…/v1`. */
const ROOT_KINDS: ReadonlySet<AdapterKind> = new Set(['lm-studio', 'ollama', 'llama-cpp', 'vllm', 'sglang', 'auto']);

/** The base that the kind's adapter expects, from an address that `checkUrl` passed. */
export function baseUrlFor(kind: AdapterKind, url: string): string {
  if (ROOT_KINDS.has(kind)) return url.replace(/\/v1$/, '');
  if (kind === 'azure-openai') return url.replace(/\/openai(\/v1)?$/, '');
  return url;
}

/** Hides what stands before the `@` of an address, for showing a wrong value. */
export function maskUserInfo(text: string): string {
  return text.replace(/\/\/[^/@]*@/g, '//…@');
}

/** One spelling for one server: `localhost` and `127.0.0.1` are the same place. */
export function sameServerKey(baseUrl: string): string {
  return baseUrl.toLowerCase().replace(/^(https?:\/\/)(localhost|\[::1\])(?=[:/]|$)/, '$1127.0.0.1');
}

/** May only this machine reach a server that listens on this host? */
export function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  return name === 'localhost' || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name);
}
