import { HttpError } from './http-error.ts';

const METHODS: Readonly<Record<string, string>> = {
  '/v1/chat/completions': 'POST',
  '/v1/models': 'GET',
  '/health': 'GET, HEAD',
  '/ready': 'GET, HEAD',
  '/metrics': 'GET',
  '/': 'GET',
};

/** 405 for a known path, else 404 that tells where the doors are. */
export function unknownRoute(request: Request): HttpError {
  const { pathname } = new URL(request.url);
  const allowed = METHODS[pathname] ?? (pathname.startsWith('/v1/models/') ? 'GET' : undefined);
  if (allowed !== undefined) {
    const message = `${request.method} is not allowed on ${pathname.slice(0, 200)}; use ${allowed}.`;
    return new HttpError(405, 'method_not_allowed', message, { headers: { allow: allowed } });
  }
  return new HttpError(
    404,
    'unknown_url',
    `Unknown path ${request.method} ${pathname.slice(0, 200)}. The API is under /v1 (POST /v1/chat/completions, GET /v1/models); its description is at /docs.`,
  );
}
