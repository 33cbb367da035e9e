import { createHash, timingSafeEqual } from 'node:crypto';
import { ANYONE, type Caller, OPERATOR } from '../core/caller.ts';
import { shownVersion } from '../core/client-key.ts';
import type { Clock } from '../core/clock.ts';
import type { Refusal } from '../core/refusal.ts';
import type { Secret } from '../core/secret.ts';
import { type Carrier, malformedCredential, readCredential, unauthorized } from './credential.ts';
import type { FoundKey, KeyBook } from './key-book.ts';
import { keyFault, TOKEN_START } from './key-format.ts';

export interface KeyGuardOptions {
  readonly book: KeyBook;
  readonly clock: Pick<Clock, 'wallMs'>;
  /** True: the gateway listens on loopback only. Then no key is needed while there is none. */
  readonly loopback: boolean;
  /** Opens the data plane on a network while there is no client key. */
  readonly operatorKey: Secret;
}

/** Why somebody was not let in: for metrics and the audit log. */
export const KEY_FAULTS = ['missing', 'several', 'malformed', 'unknown', 'revoked', 'expired', 'operator_key'] as const;
export type KeyFault = (typeof KEY_FAULTS)[number];

export type Admitted =
  | { readonly ok: true; readonly caller: Caller }
  /** `keyId` is null unless it was once a client key. */
  | { readonly ok: false; readonly refusal: Refusal; readonly fault: KeyFault; readonly keyId: string | null };

const ADMIN_HINT =
  'It is SWARMROUTER_ADMIN_KEY or the file admin-key in the data folder; send it as "Authorization: Bearer <admin key>".';
const HINT = 'Send a client key as "Authorization: Bearer <key>"; the operator makes one: swarmrouter keys create.';

const TOKEN_HINT = `This is a service token of the admin API (${TOKEN_START}…), which opens nothing of /v1. ${HINT}`;

/** Who is calling the data plane? Looks at headers and memory only: a stranger cannot make us read a body or the store. */
export class KeyGuard {
  readonly #options: KeyGuardOptions;
  readonly #operatorDigest: Buffer;

  constructor(options: KeyGuardOptions) {
    this.#options = options;
    this.#operatorDigest = digest(options.operatorKey.reveal());
  }

  /**
   * False: a single user on loopback has made no key. Until then whatever is sent as a credential is ignored, not
   * refused: SDKs always send one.
   */
  get required(): boolean {
    return !this.#options.loopback || this.#options.book.size > 0;
  }

  /** What opens the data plane now, for people. Null: nothing is needed. */
  get needed(): 'client key' | 'admin key' | null {
    if (!this.required) return null;
    return this.#options.book.size > 0 ? 'client key' : 'admin key';
  }

  admit(headers: Headers): Admitted {
    if (!this.required) return ADMITTED_ANYONE;
    const credential = readCredential(headers);
    if (credential.kind === 'sent') return this.#admitText(credential.text, credential.carrier);
    if (credential.kind === 'none') return refuse('missing', unauthorized(`An API key is needed here. ${HINT}`));
    return refuse(credential.kind, credential.refusal);
  }

  /** The same for what tells of all tenants: a client key does not open it. */
  admitOperator(headers: Headers): Admitted {
    if (!this.required) return ADMITTED_ANYONE;
    const credential = readCredential(headers);
    if (credential.kind === 'several' || credential.kind === 'malformed') {
      return refuse(credential.kind, credential.refusal);
    }
    if (credential.kind === 'none') return refuse('missing', unauthorized(`This needs the admin key. ${ADMIN_HINT}`));
    if (this.#isOperator(credential.text)) return ADMITTED_OPERATOR;
    const message = `This opens with the admin key, not with a client key or a service token. ${ADMIN_HINT}`;
    return refuse('unknown', unauthorized(message));
  }

  #isOperator(text: string): boolean {
    // Digests have one length, so the comparison tells nothing of the key's.
    return timingSafeEqual(digest(text), this.#operatorDigest);
  }

  #admitText(text: string, carrier: Carrier): Admitted {
    const fault = keyFault(text);
    if (fault !== null) return this.#admitOperator(text, carrier, fault);
    const found = this.#options.book.find(text, this.#options.clock.wallMs());
    if (found === null) return refuse('unknown', unauthorized(`The API key is not known here. ${HINT}`));
    if (found.state === 'live') return { ok: true, caller: found.caller };
    return refuse(found.state, unauthorized(`${ended(found, found.sinceMs)} ${HINT}`), found.key.id);
  }

  /** What has not the shape of a client key may be the admin key, which has any shape. */
  #admitOperator(text: string, carrier: Carrier, fault: string): Admitted {
    if (!this.#isOperator(text)) {
      const refusal = text.startsWith(TOKEN_START) ? unauthorized(TOKEN_HINT) : malformedCredential(carrier, fault);
      return refuse('malformed', refusal);
    }
    if (this.#options.book.size === 0) return ADMITTED_OPERATOR;
    const message = `The admin key opens /v1 only until the first client key is made. ${HINT}`;
    return refuse('operator_key', unauthorized(message));
  }
}

function ended({ key, version, state }: FoundKey, sinceMs: number): string {
  const done = state === 'revoked' ? 'was revoked' : 'expired';
  return `The API key "${key.name}" (${shownVersion(version)}) ${done} at ${new Date(sinceMs).toISOString()}.`;
}

function refuse(fault: KeyFault, refusal: Refusal, keyId: string | null = null): Admitted {
  return { ok: false, refusal, fault, keyId };
}

const ADMITTED_ANYONE: Admitted = { ok: true, caller: ANYONE };
const ADMITTED_OPERATOR: Admitted = { ok: true, caller: OPERATOR };

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
