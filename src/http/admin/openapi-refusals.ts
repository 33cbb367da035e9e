import { errorReplies } from './schemas.ts';

/** What of an operation in the document says how it may be refused. */
export interface DescribedOperation {
  readonly method: string;
  readonly path: string;
  readonly takesBody: boolean;
  /** Null: it is open to everybody. */
  readonly permission: string | null;
}

const WRITES: ReadonlySet<string> = new Set(['post', 'put', 'patch', 'delete']);
/** Pages and health are asked by browsers and probes alike: a Host that is not allowed is refused before all else. */
const FOREIGN_HOST = 'the Host or Origin is not allowed here';
const ADMIN_PATH = '/admin/';

/** Every write of the control plane knows the header Idempotency-Key. */
export function isIdempotentWrite({ method, path, permission }: DescribedOperation): boolean {
  return path.startsWith(ADMIN_PATH) && WRITES.has(method) && permission !== null;
}

/** Refusals that do not come from an operation itself but from what stands before it, by status. */
export function refusalsOf(operation: DescribedOperation): ReadonlyMap<number, readonly string[]> {
  const found = new Map<number, string[]>();
  const add = (status: number, why: string): void => void found.set(status, [...(found.get(status) ?? []), why]);
  add(400, 'the Host header is missing or came more than once');
  add(403, FOREIGN_HOST);
  if (!operation.path.startsWith(ADMIN_PATH)) return found;
  if (operation.permission !== null) {
    add(401, errorReplies.unauthorized.description);
    add(403, 'the permission is missing: permission_denied says which, and how far it must reach');
    add(404, 'there is no organisation as x-swarmrouter-organisation names it');
    add(429, 'too many credentials that open nothing were sent; Retry-After says when to ask again');
    add(503, 'the store cannot be reached, which the credential must be looked up in');
  }
  if (operation.takesBody) {
    add(400, errorReplies.badRequest.description);
    add(408, 'the body came too slowly');
    add(413, errorReplies.tooLarge.description);
    add(415, errorReplies.notJson.description);
    add(429, 'too many bodies come slowly at once');
  }
  if (isIdempotentWrite(operation)) {
    add(400, 'the Idempotency-Key has characters that it may not have, or too many');
    add(409, 'the request of this Idempotency-Key is still under way');
    add(422, 'the Idempotency-Key came with another request');
  }
  return found;
}

/** @param said what the operation says itself; null: nothing */
export function refusalText(said: string | null, reasons: readonly string[]): string {
  const own = said === null ? [] : [said];
  const text = [...own, ...reasons.filter((reason) => reason !== said)].join('; or ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}
