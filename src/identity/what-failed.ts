import { OidcFault, type OidcFaultKind } from './oidc-fault.ts';

/** No answer, or none that says anything. A TypeError, since those go through the library as they are. */
export class ProviderSilent extends TypeError {}

const SILENT_CODES = new Set([
  'OAUTH_TIMEOUT',
  'OAUTH_ABORT',
  'OAUTH_RESPONSE_IS_NOT_CONFORM',
  'OAUTH_RESPONSE_IS_NOT_JSON',
  'OAUTH_MISSING_SERVER_METADATA',
  'OAUTH_INVALID_SERVER_METADATA',
]);

/** What an error of a login means. @param otherwise for what has no better name */
export function faultOf(error: unknown, otherwise: OidcFaultKind = 'token'): OidcFault {
  if (error instanceof OidcFault) return error;
  const chain = causesOf(error);
  const message = chain.map(({ message }) => message).join(': ');
  if (chain.some((one) => one instanceof ProviderSilent))
    return new OidcFault('unavailable', message, { cause: error });
  const { code, error: said } = { code: null, error: null, ...fieldsOf(error) };
  if (code === 'OAUTH_AUTHORIZATION_RESPONSE_ERROR') return new OidcFault('denied', `the provider says ${said}`);
  if (code === 'OAUTH_RESPONSE_BODY_ERROR') {
    // What the client did wrong is not the fault of whoever logs in.
    const kind = said === 'invalid_grant' ? 'code' : 'unavailable';
    return new OidcFault(kind, `the provider says ${said}`, { cause: error });
  }
  if (code === 'OAUTH_INVALID_RESPONSE') return new OidcFault('response', message, { cause: error });
  if (SILENT_CODES.has(String(code))) return new OidcFault('unavailable', message, { cause: error });
  return new OidcFault(otherwise, message, { cause: error });
}

function causesOf(error: unknown): readonly Error[] {
  const chain: Error[] = [];
  for (let at = error; at instanceof Error && chain.length < 10; at = at.cause) chain.push(at);
  return chain;
}

function fieldsOf(error: unknown): { readonly code?: unknown; readonly error?: unknown } {
  return error instanceof Error ? (error as { code?: unknown; error?: unknown }) : {};
}
