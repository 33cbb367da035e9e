/**
 * `unavailable`: the provider does not answer, or not as one · `denied`: it says that the person may not, or would not ·
 * `response`: what came back does not fit the login that this browser began · `code`: the code opens nothing (any more) ·
 * `token`: the token that it stands for is not one to trust.
 */
export type OidcFaultKind = 'unavailable' | 'denied' | 'response' | 'code' | 'token';

/** A login at an identity provider that came to nothing. Its message is for the log: it may repeat what others said. */
export class OidcFault extends Error {
  override readonly name = 'OidcFault';
  readonly kind: OidcFaultKind;
  /** The provider is not asked again before, ms; null: it may be asked at once. */
  readonly retryAfterMs: number | null;

  constructor(kind: OidcFaultKind, message: string, options?: ErrorOptions, retryAfterMs: number | null = null) {
    super(message, options);
    this.kind = kind;
    this.retryAfterMs = retryAfterMs;
  }
}
