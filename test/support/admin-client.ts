import type { TestGateway } from './gateway.ts';

export const bearer = (text: string) => ({ authorization: `Bearer ${text}` });

export interface AdminReply {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came.
  readonly body: any;
}

/** Calls the admin API of a gateway with its admin key. */
export async function admin(
  on: Pick<TestGateway, 'url' | 'adminKey'>,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<AdminReply> {
  const response = await fetch(`${on.url}/admin/${path}`, {
    method,
    headers: { ...bearer(on.adminKey), 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}
