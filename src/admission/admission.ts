import { createHash, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../core/secret.ts';

export interface AdmissionOptions {
  /** True: the gateway listens on loopback only. Then, while no client key exists, everybody on this machine may call `/v1`. */
  readonly loopback: boolean;
  /** Until client keys exist, the operator's own key is what opens `/v1` on a network. */
  readonly adminKey: Secret;
}

export type Admitted = { readonly ok: true } | { readonly ok: false; readonly message: string };

const WELCOME: Admitted = { ok: true };

/** Who may call the data plane? Looks at headers only: a stranger cannot make us read a body. */
export class Admission {
  readonly #open: boolean;
  readonly #expected: Buffer;

  constructor(options: AdmissionOptions) {
    this.#open = options.loopback;
    this.#expected = digest(options.adminKey.reveal());
  }

  admit(headers: Headers): Admitted {
    if (this.#open) return WELCOME;
    const credentials = [bearer(headers.get('authorization')), headers.get('x-api-key')].filter(
      (value) => value !== null,
    );
    const [credential] = credentials;
    if (credential === undefined) {
      return { ok: false, message: 'An API key is needed here: send it as "Authorization: Bearer <key>".' };
    }
    if (credentials.length > 1) {
      return { ok: false, message: 'Two credentials were sent: use either Authorization or x-api-key.' };
    }
    // Digests have one length, so the comparison tells nothing of the key's.
    if (timingSafeEqual(digest(credential), this.#expected)) return WELCOME;
    return { ok: false, message: 'The API key is not known here.' };
  }
}

function bearer(header: string | null): string | null {
  const match = header === null ? null : /^Bearer +(\S+) *$/i.exec(header);
  return match?.[1] ?? (header === null ? null : '');
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
