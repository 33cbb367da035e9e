import type { Target } from '../core/target.ts';

/** The server's root, for kinds whose native paths stand beside `/v1`: people often paste the URL with `/v1`. */
export function rootOf(target: Target): string {
  return target.baseUrl.replace(/\/+$/, '').replace(/\/v1$/, '');
}

/** The base that API paths are put behind. */
export function baseOf(target: Target): string {
  return target.baseUrl.replace(/\/+$/, '');
}

export function bearer(target: Target): Record<string, string> {
  return target.apiKey === null ? {} : { authorization: `Bearer ${target.apiKey.reveal()}` };
}
