const VALID = /^[A-Za-z0-9._:-]{1,128}$/;

/** The client's own `x-request-id` when it is harmless to echo and to log, else a new one. */
export function requestId(headers: Headers): string {
  const given = headers.get('x-request-id');
  return given !== null && VALID.test(given) ? given : `req_${crypto.randomUUID()}`;
}
