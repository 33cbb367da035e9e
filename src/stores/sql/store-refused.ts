/** The tables are whole, but not for this version or not now. Its message says what to do. */
export class StoreRefused extends Error {
  override readonly name = 'StoreRefused';
}
