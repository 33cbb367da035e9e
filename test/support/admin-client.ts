import type { TestGateway } from './gateway.ts';

/** One request to the admin API and what came back. */
export interface AdminReply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; null where it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape
  readonly body: any;
}

export interface AdminCall {
  /** The headers that say who asks. */
  readonly as: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export const bearer = (text: string): Record<string, string> => ({ authorization: `Bearer ${text}` });

/** Calls any path of a gateway as somebody. */
export async function adminCall(
  url: string,
  method: string,
  path: string,
  { as, body, headers = {} }: AdminCall,
): Promise<AdminReply> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { ...as, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: parsed(text) };
}

/** Calls a path under `/admin` of a gateway with its admin key, unless `headers` say otherwise. */
export function admin(
  on: Pick<TestGateway, 'url' | 'adminKey'>,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<AdminReply> {
  return adminCall(on.url, method, `/admin/${path}`, { as: bearer(on.adminKey), body, headers });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
