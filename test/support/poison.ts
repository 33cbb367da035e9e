/** Names that every object has, or that lead to what all objects share. */
export const POISON_NAMES = [
  '__proto__',
  'constructor',
  'prototype',
  'hasOwnProperty',
  'toString',
  'valueOf',
  '__defineGetter__',
] as const;

/** Members of a JSON object, as text: a literal would set the prototype in place of a field. */
export const POISON =
  '"__proto__":{"polluted":"yes"},"constructor":{"prototype":{"polluted":"yes"}},"prototype":{"polluted":"yes"}';

const PROTOTYPES = {
  Object: Object.prototype,
  Array: Array.prototype,
  Function: Function.prototype,
  Map: Map.prototype,
};

/** What the prototypes hold, for comparing: whatever is set on one changes it. */
export const prototypeShape = (): string =>
  JSON.stringify(
    Object.entries(PROTOTYPES).map(([name, one]) => [name, ...Reflect.ownKeys(one).map(String).toSorted()]),
  );
