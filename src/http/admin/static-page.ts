import type { OpenAPIHono } from '@hono/zod-openapi';

/** Pages run our own scripts alone, ask nobody but us, send no form by themselves, and are in nobody's frame. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ');

export function pageHeaders(mediaType: string): Record<string, string> {
  return {
    'content-type': `${mediaType}; charset=utf-8`,
    'content-security-policy': PAGE_POLICY,
    'referrer-policy': 'no-referrer',
  };
}

/** In public: it is the same for everybody. */
export function servePage(app: OpenAPIHono, path: string, mediaType: string, text: string): void {
  app.get(path, (context) => context.body(text, 200, pageHeaders(mediaType)));
}
