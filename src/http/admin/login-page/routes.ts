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
<title>Log in – SwarmRouter</title>
<link rel="stylesheet" href="/docs/style.css">
<link rel="stylesheet" href="/login/style.css">
</head>
<body>
<noscript>This page needs JavaScript; programs log in with POST /admin/login.</noscript>
<main id="page" class="card"><p>Loading…</p></main>
<script type="module" src="/login/app.js"></script>
</body>
</html>
`;

/** `/login`: one page, its script and its style, all from here and in public. What it shows of somebody it asks the API. */
export function addLoginPage(app: OpenAPIHono): void {
  servePage(app, '/login', 'text/html', PAGE);
  servePage(app, '/login/app.js', 'text/javascript', script);
  servePage(app, '/login/style.css', 'text/css', style);
}
