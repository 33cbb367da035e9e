import type { AdminError } from '../error-envelope.ts';
import { pageHeaders } from '../static-page.ts';

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '');

/** A login that came to nothing, for people. Without a script. */
export function refusalPage({ status, code, message, headers }: AdminError): Response {
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Not logged in – SwarmRouter</title>
<link rel="stylesheet" href="/docs/style.css">
<link rel="stylesheet" href="/login/style.css">
</head>
<body>
<main class="card">
<h1>Not logged in</h1>
<p role="alert">${escaped(message)}</p>
<p class="faint">${status} <code>${escaped(code)}</code></p>
<p><a class="button" href="/login">Back to the login page</a></p>
</main>
</body>
</html>
`;
  return new Response(html, { status, headers: { ...headers, ...pageHeaders('text/html') } });
}
