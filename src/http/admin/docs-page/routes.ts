import type { OpenAPIHono } from '@hono/zod-openapi';
import { servePage } from '../static-page.ts';
import style from './page.css' with { type: 'text' };
import script from './page.js' with { type: 'text' };

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>SwarmRouter API</title>
<link rel="stylesheet" href="/docs/style.css">
</head>
<body>
<noscript>This page needs JavaScript; the same facts are in /openapi.json.</noscript>
<main id="page"><p>Loading…</p></main>
<script type="module" src="/docs/app.js"></script>
</body>
</html>
`;

/** `/docs`: one page, its script and its style, all from here and in public. They hold nothing but the API's description. */
export function addDocsPage(app: OpenAPIHono): void {
  servePage(app, '/docs', 'text/html', PAGE);
  servePage(app, '/docs/app.js', 'text/javascript', script);
  servePage(app, '/docs/style.css', 'text/css', style);
}
