import { UpstreamError } from '../core/failure.ts';

/** Codes that Bun's fetch and node:net put on errors raised before a connection stood. */
const NOT_CONNECTED: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ConnectionRefused: 'connection refused',
  FailedToOpenSocket: 'connection refused',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name service did not answer',
  EAI_NODATA: 'no such host',
  EAI_NONAME: 'no such host',
  EHOSTUNREACH: 'host unreachable',
  EHOSTDOWN: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ENETDOWN: 'network unreachable',
  EADDRNOTAVAIL: 'no local address left to connect from',
  ETIMEDOUT: 'no connection in time',
  EPROTO: 'TLS handshake failed: does the server speak TLS on this port?',
  CERT_HAS_EXPIRED: 'its TLS certificate has expired',
  CERT_NOT_YET_VALID: 'its TLS certificate is not valid yet',
  CERT_REVOKED: 'its TLS certificate is revoked',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its TLS certificate is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'its TLS certificate chain holds a self-signed certificate',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its TLS certificate cannot be verified',
  UNABLE_TO_GET_ISSUER_CERT: "its TLS certificate's issuer is unknown",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its TLS certificate's issuer is unknown",
  ERR_TLS_CERT_ALTNAME_INVALID: 'its TLS certificate is for another name',
};

const TLS_PREFIXES = ['CERT_', 'ERR_TLS_', 'ERR_SSL_', 'UNABLE_TO_', 'HOSTNAME_MISMATCH'];

/** Codes of Bun's HTTP parser: the server answered, but broke the protocol. */
const NOT_HTTP = /invalid.*response|invalid.?content.?length|malformed|parse|headers.?too.?large|unrequested.?upgrade/i;

const RESET_CODES = new Set(['ECONNRESET', 'EPIPE', 'ConnectionClosed', 'ERR_SOCKET_CLOSED']);

/** `head`: nothing of the reply was received · `body`: the reply had begun. */
export type FaultStage = 'head' | 'body';

export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}

/** True when the peer closed the connection on us. */
export function isReset(error: unknown): boolean {
  return RESET_CODES.has(codeOf(error));
}

/** True when no connection came to stand. */
export function isNotConnected(error: unknown): boolean {
  return Object.hasOwn(NOT_CONNECTED, codeOf(error));
}

/** Puts a socket or TLS fault into words and a kind. `where` names the server without credentials. */
export function socketFault(error: unknown, where: string, stage: FaultStage): UpstreamError {
  if (error instanceof UpstreamError) return error;
  const code = codeOf(error);
  const known = NOT_CONNECTED[code];
  if (known !== undefined && stage === 'head') return fault('unreachable', `cannot reach ${where}: ${known}`, error);
  if (TLS_PREFIXES.some((prefix) => code.startsWith(prefix))) {
    return fault('unreachable', `cannot reach ${where}: TLS failure (${code})`, error);
  }
  if (/zlib|brotli|zstd|decompress/i.test(code)) {
    return fault('malformed', `${where} sent a compressed body that cannot be decoded (${code})`, error);
  }
  if (NOT_HTTP.test(code)) return fault('malformed', `${where} does not answer in HTTP (${code})`, error);
  if (stage === 'body') {
    return fault('truncated', `${where} closed the connection in the middle of its reply`, error);
  }
  if (isReset(error)) return fault('failed', `${where} closed the connection without a reply`, error);
  return fault('failed', `calling ${where} failed${code === '' ? '' : ` (${code})`}`, error);
}

function fault(
  kind: 'unreachable' | 'malformed' | 'truncated' | 'failed',
  message: string,
  cause: unknown,
): UpstreamError {
  return new UpstreamError(kind, message, { cause });
}
