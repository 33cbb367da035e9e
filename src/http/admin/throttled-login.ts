import { AdminError } from './error-envelope.ts';

/** @param waitMs until the next try */
export function throttledLogin(waitMs: number): AdminError {
  const seconds = Math.ceil(waitMs / 1_000);
  const message = `Too many logins failed for this account or from this address. Try again in ${seconds} s.`;
  return new AdminError(429, 'too_many_failed_logins', message, { headers: { 'retry-after': String(seconds) } });
}
