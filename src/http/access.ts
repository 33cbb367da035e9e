/**
 * Who opens a path of the data plane. `client`: a client key, once one is needed · `operator`: the admin key, likewise ·
 * `anybody` · `control`: the control plane, which asks for itself.
 */
export type Access = 'client' | 'operator' | 'anybody' | 'control';

/** Every path that is served, in one table: a route without a line here does not compile. */
export const ACCESS = {
  '/v1/chat/completions': 'client',
  '/v1/models': 'client',
  '/v1/models/*': 'client',
  '/health': 'anybody',
  '/ready': 'anybody',
  '/metrics': 'operator',
  '/': 'anybody',
  '/admin/*': 'control',
  '/openapi.json': 'control',
  '/docs': 'control',
  '/docs/*': 'control',
  '/login': 'control',
  '/login/*': 'control',
} as const satisfies Readonly<Record<string, Access>>;

export type ServedPath = keyof typeof ACCESS;
