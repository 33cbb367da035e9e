/** So many credentials that open nothing were looked up lately that one more is not. */
export class TooManyUnknownCredentials extends Error {
  override readonly name = 'TooManyUnknownCredentials';
  readonly waitMs: number;

  constructor(waitMs: number) {
    super(`Too many credentials that open nothing were sent; ask again in ${waitMs} ms.`);
    this.waitMs = waitMs;
  }
}
