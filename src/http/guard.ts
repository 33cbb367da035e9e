import { HttpError } from './http-error.ts';

export interface GuardOptions {
  /** What the gateway listens on; always a name of its own. */
  readonly host: string;
  /** True: listens on loopback only, where a web page could reach us through the user's browser. */
  readonly loopback: boolean;
  /** Further Host names to accept, lower case, without port. */
  readonly allowedHosts: readonly string[];
}

const LOOPBACK_NAMES = new Set(['localhost', '127.0.0.1', '[::1]']);

/**
 * DNS rebinding and cross-site requests (faults S-14): a page that a browser was lured to must not use the user's
 * models. A duplicate Host header arrives joined with a comma and so is refused too.
 */
export function createGuard(options: GuardOptions): (headers: Headers) => void {
  const allowed = new Set([...LOOPBACK_NAMES, options.host.toLowerCase(), ...options.allowedHosts]);
  // The same few values come with every request: judge each once.
  const known = new Set<string>();
  const checkName = (header: string, value: string): void => {
    if (known.has(value)) return;
    if (!allowed.has(hostName(value))) {
      throw new HttpError(
        403,
        'host_not_allowed',
        `The ${header} "${value.slice(0, 100)}" is not allowed here. Use localhost, or add the name to SWARMROUTER_ALLOWED_HOSTS.`,
      );
    }
    if (known.size < 64) known.add(value);
  };
  return (headers) => {
    const host = headers.get('host');
    if (host?.includes(',')) throw new HttpError(400, 'duplicate_host', 'The request has more than one Host header.');
    if (!options.loopback) return;
    if (host === null) throw new HttpError(400, 'missing_host', 'The request has no Host header.');
    checkName('Host', host);
    const origin = headers.get('origin');
    if (origin !== null) checkName('Origin', origin);
  };
}

/** `http://localhost:3000` → `localhost`; what does not parse or holds more is its own name and so is refused. */
function hostName(value: string): string {
  if (/[@?#\\]|[^:/]\//.test(value)) return value;
  try {
    return new URL(value.includes('://') ? value : `http://${value}`).hostname.toLowerCase();
  } catch {
    return value;
  }
}
