/** By organisation: the number of the last entry on the record of changes. */
export type ChangeEnds = ReadonlyMap<string, number>;

/** One change of the store, whoever made it. */
export interface StoreChange {
  /** Thing and deed: `key.revoke`. */
  readonly action: string;
  /** Kind and id: `key:key_1`. */
  readonly subject: string;
}

/** What was changed in a store that several gateways share, in the order in which it was. */
export interface StoreChanges {
  ends(): Promise<ChangeEnds>;
  /** After one end and up to another. Null: more than `most`. */
  between(from: ChangeEnds, to: ChangeEnds, most: number): Promise<readonly StoreChange[] | null>;
}
