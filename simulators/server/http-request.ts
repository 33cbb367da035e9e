/** A request with its whole body. */
export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  /** Names in lower case; a repeated header's values are joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  readonly rawBody: string;
  readonly keepAlive: boolean;
}

/** `consumed`: bytes of the buffer that belonged to the request. */
export type ParseResult =
  | { readonly state: 'incomplete'; readonly expectsContinue: boolean }
  | { readonly state: 'invalid'; readonly reason: string }
  | { readonly state: 'complete'; readonly request: HttpRequest; readonly consumed: number };

const HEAD_END = Buffer.from('\r\n\r\n');
const MAX_HEAD_BYTES = 64 * 1024;

/** Reads one HTTP/1.1 request from the start of the buffer. */
export function parseRequest(buffer: Buffer): ParseResult {
  const headEnd = buffer.indexOf(HEAD_END);
  if (headEnd < 0) {
    return buffer.length > MAX_HEAD_BYTES
      ? { state: 'invalid', reason: `no end of the headers within ${MAX_HEAD_BYTES} bytes` }
      : { state: 'incomplete', expectsContinue: false };
  }
  const [requestLine = '', ...lines] = buffer.toString('latin1', 0, headEnd).split('\r\n');
  const [method, target, version] = requestLine.split(' ');
  if (method === undefined || target === undefined || !version?.startsWith('HTTP/1.')) {
    return { state: 'invalid', reason: `not an HTTP/1 request line: ${requestLine.slice(0, 80)}` };
  }
  const headers = parseHeaders(lines);
  const body = readBody(buffer, headEnd + HEAD_END.length, headers);
  if (body === 'invalid') return { state: 'invalid', reason: 'the body is badly framed' };
  if (body === null) return { state: 'incomplete', expectsContinue: headers['expect'] === '100-continue' };
  const questionMark = target.indexOf('?');
  return {
    state: 'complete',
    consumed: body.end,
    request: {
      method,
      path: questionMark < 0 ? target : target.slice(0, questionMark),
      query: questionMark < 0 ? '' : target.slice(questionMark + 1),
      headers,
      rawBody: body.text,
      keepAlive: version === 'HTTP/1.1' && headers['connection']?.toLowerCase() !== 'close',
    },
  };
}

function parseHeaders(lines: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = headers[name];
    headers[name] = before === undefined ? value : `${before}, ${value}`;
  }
  return headers;
}

type Body = { readonly text: string; readonly end: number };

function readBody(buffer: Buffer, start: number, headers: Record<string, string>): Body | 'invalid' | null {
  if (headers['transfer-encoding']?.toLowerCase() === 'chunked') return readChunkedBody(buffer, start);
  const declared = headers['content-length'];
  if (declared === undefined) return { text: '', end: start };
  const length = Number(declared);
  if (!Number.isInteger(length) || length < 0) return 'invalid';
  return buffer.length < start + length
    ? null
    : { text: buffer.toString('utf8', start, start + length), end: start + length };
}

function readChunkedBody(buffer: Buffer, start: number): Body | 'invalid' | null {
  const parts: Buffer[] = [];
  let at = start;
  for (;;) {
    const lineEnd = buffer.indexOf('\r\n', at);
    if (lineEnd < 0) return null;
    const size = Number.parseInt(buffer.toString('latin1', at, lineEnd), 16);
    if (Number.isNaN(size)) return 'invalid';
    const dataEnd = lineEnd + 2 + size;
    if (buffer.length < dataEnd + 2) return null;
    if (size === 0) return { text: Buffer.concat(parts).toString('utf8'), end: dataEnd + 2 };
    parts.push(buffer.subarray(lineEnd + 2, dataEnd));
    at = dataEnd + 2;
  }
}
