import { chatRequest } from '../support/raw-client.ts';

const ONE = chatRequest('ONE');
const [HEAD = '', BODY = ''] = ONE.split('\r\n\r\n');
const LINES = HEAD.split('\r\n');
const LENGTH = `content-length: ${BODY.length}`;
/** What hides in the body of another request, or behind it. */
const EVIL = chatRequest('EVIL');
const hex = (text: string): string => text.length.toString(16);
const chunks = (...pieces: readonly string[]): string =>
  `${pieces.map((piece) => `${hex(piece)}\r\n${piece}\r\n`).join('')}0\r\n\r\n`;

/** The honest request with its framing headers replaced by these lines, and this body. */
const framed = (lines: readonly string[], body: string): string =>
  `${LINES.filter((line) => line !== LENGTH).join('\r\n')}\r\n${lines.join('\r\n')}${lines.length > 0 ? '\r\n' : ''}\r\n${body}`;
const withLine = (line: string): string => ONE.replace('content-type', `${line}\r\ncontent-type`);
const withMethod = (method: string, path = '/v1/chat/completions'): string =>
  ONE.replace('POST /v1/chat/completions', `${method} ${path}`);

/** What is put on the wire, and how many requests it is: a server must see as many, and never the hidden one. */
export interface FramingAttack {
  readonly name: string;
  readonly bytes: string;
  /** Requests in it that are served. 0: it is refused, or is none. `given up`: one that is cut off as soon as its end turns out to be wrong. */
  readonly requests: 0 | 1 | 'given up';
}

const refused = (name: string, bytes: string): FramingAttack => ({ name, bytes, requests: 0 });
const served = (name: string, bytes: string): FramingAttack => ({ name, bytes, requests: 1 });

/** Bun knows no trailers: it takes the first for the next request, a bad one, and closes the connection. */
const givenUp = (name: string, bytes: string): FramingAttack => ({ name, bytes, requests: 'given up' });

const CHUNKED = 'transfer-encoding: chunked';
/** Read by its length it is one request; read by its chunks the hidden one follows. */
const TE_HIDES = `0\r\n\r\n${EVIL}`;

export const ATTACKS: readonly FramingAttack[] = [
  // Length and chunks at once.
  refused('CL.TE: a length and chunks', framed([`content-length: ${TE_HIDES.length}`, CHUNKED], TE_HIDES)),
  refused('TE.CL: chunks and a length', framed([CHUNKED, 'content-length: 4'], chunks(BODY) + EVIL)),
  refused('a length of zero and chunks', framed(['content-length: 0', CHUNKED], chunks(BODY))),
  // Several lengths.
  refused('two lengths', framed([LENGTH, 'content-length: 5'], BODY + EVIL)),
  refused('two lengths, the smaller first', framed(['content-length: 5', LENGTH], BODY + EVIL)),
  refused('two lengths in one line', framed([`${LENGTH}, 5`], BODY + EVIL)),
  // Lengths that parsers read differently.
  ...['+', '-', '0x', ' 1 ', '1_'].map((sign) =>
    refused(
      `a length that begins with ${JSON.stringify(sign)}`,
      framed([`content-length: ${sign}${BODY.length}`], BODY + EVIL),
    ),
  ),
  refused('a length with a fraction', framed([`content-length: ${BODY.length}.0`], BODY + EVIL)),
  refused('a length with an exponent', framed(['content-length: 1e2'], BODY + EVIL)),
  refused('a length in hexadecimal', framed([`content-length: 0x${hex(BODY)}`], BODY + EVIL)),
  refused('a length that no number holds', framed(['content-length: 18446744073709551617'], BODY + EVIL)),
  refused('a length of words', framed(['content-length: chunked'], BODY + EVIL)),
  refused('a length of nothing', framed(['content-length: '], BODY + EVIL)),
  refused('a length with a NUL', framed([`content-length: ${BODY.length}\0`], BODY + EVIL)),
  // Transfer codings in disguise.
  ...[
    'transfer-encoding: xchunked',
    'transfer-encoding: chunked, identity',
    'transfer-encoding: identity, chunked',
    'transfer-encoding: gzip, chunked',
    'transfer-encoding: chunked, chunked',
    'transfer-encoding: chunked;q=1',
    'transfer-encoding: "chunked"',
    'transfer-encoding: chunk',
    'transfer-encoding:',
    'transfer-encoding: \x0bchunked',
    'transfer-encoding: chunked\x0b',
    'transfer-encoding: chunked\0',
    'transfer-encoding: identity',
    'transfer-encoding: gzip',
  ].map((line) => refused(`${JSON.stringify(line)} beside a length`, framed([LENGTH, line], BODY + EVIL))),
  ...[
    'transfer-encoding : chunked',
    'transfer-encoding\t: chunked',
    ' transfer-encoding: chunked',
    'transfer_encoding : chunked',
    'transfer-encoding\r\n : chunked',
    'x: y\r\n transfer-encoding: chunked',
  ].map((line) => refused(`${JSON.stringify(line)}: a name that is none`, framed([LENGTH, line], BODY + EVIL))),
  refused('two transfer codings', framed([CHUNKED, 'transfer-encoding: identity'], chunks(BODY) + EVIL)),
  refused('the same transfer coding twice', framed([CHUNKED, CHUNKED], chunks(BODY) + EVIL)),
  refused('chunks in HTTP/1.0', framed([CHUNKED], chunks(BODY)).replace('HTTP/1.1', 'HTTP/1.0')),
  // Lines.
  refused('a bare line feed behind the request line', ONE.replace('HTTP/1.1\r\n', 'HTTP/1.1\n')),
  refused('bare line feeds everywhere', ONE.replaceAll('\r\n', '\n')),
  refused('a bare line feed that hides a header', withLine('x-a: b\ntransfer-encoding: chunked')),
  refused('a bare carriage return that hides a header', withLine('x-a: b\rtransfer-encoding: chunked')),
  refused('a folded header', withLine('x-a: b\r\n c')),
  refused('a header folded by a tab', withLine('x-a: b\r\n\tc')),
  refused('a line without a colon', withLine('nothing')),
  refused('a header without a name', withLine(': nothing')),
  refused('a NUL in a name', withLine('x\0a: b')),
  refused('a space in a name', withLine('x a: b')),
  refused('a character in a name that is none', withLine('x(a): b')),
  // Chunks.
  served('chunks', framed([CHUNKED], chunks(BODY))),
  served('CHUNKED in capitals', framed(['Transfer-Encoding: CHUNKED'], chunks(BODY))),
  served('chunks of one byte', framed([CHUNKED], chunks(...BODY))),
  served('a chunk size with leading zeros', framed([CHUNKED], `000${hex(BODY)}\r\n${BODY}\r\n0\r\n\r\n`)),
  served('a chunk extension', framed([CHUNKED], `${hex(BODY)};a=b\r\n${BODY}\r\n0\r\n\r\n`)),
  givenUp('trailers', framed([CHUNKED], `${hex(BODY)}\r\n${BODY}\r\n0\r\nx-trailer: a\r\n\r\n`)),
  refused('a chunk size with a sign', framed([CHUNKED], `+${hex(BODY)}\r\n${BODY}\r\n0\r\n\r\n`)),
  refused('a negative chunk size', framed([CHUNKED], `-1\r\n${BODY}\r\n0\r\n\r\n`)),
  refused('a chunk size with 0x', framed([CHUNKED], `0x${hex(BODY)}\r\n${BODY}\r\n0\r\n\r\n`)),
  refused('a chunk size that no number holds', framed([CHUNKED], `FFFFFFFFFFFFFFFFF\r\n${BODY}\r\n0\r\n\r\n`)),
  refused('a chunk size that is words', framed([CHUNKED], `zz\r\n${BODY}\r\n0\r\n\r\n`)),
  refused('a chunk size that is nothing', framed([CHUNKED], `\r\n${BODY}\r\n0\r\n\r\n`)),
  refused('a chunk that is longer than its size', framed([CHUNKED], `5\r\n${BODY}\r\n0\r\n\r\n`)),
  refused('a bare line feed behind a chunk size', framed([CHUNKED], `${hex(BODY)}\n${BODY}\r\n0\r\n\r\n`)),
  refused('a bare line feed behind a chunk', framed([CHUNKED], `${hex(BODY)}\r\n${BODY}\n0\r\n\r\n`)),
  refused('a bare line feed in a chunk extension', framed([CHUNKED], `${hex(BODY)};a\nb\r\n${BODY}\r\n0\r\n\r\n`)),
  refused('a space before a chunk size', framed([CHUNKED], ` ${hex(BODY)}\r\n${BODY}\r\n0\r\n\r\n`)),
  // Request lines.
  refused(
    'an absolute target of another host',
    ONE.replace('/v1', 'http://evil.example/v1').replace('host: localhost', 'host: evil.example'),
  ),
  refused('CONNECT', withMethod('CONNECT', 'evil.example:443')),
  refused('CONNECT to a path', withMethod('CONNECT')),
  refused('TRACE', withMethod('TRACE')),
  refused('TRACK', withMethod('TRACK')),
  refused('GET with a body', withMethod('GET')),
  refused('a method in lower case', withMethod('post')),
  refused('PUT', withMethod('PUT')),
  refused('a method that is none', withMethod('PO ST')),
  refused(
    'a method in disguise',
    `GET /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-http-method-override: POST\r\n${LENGTH}\r\n\r\n${BODY}`,
  ),
  refused('no version', ONE.replace(' HTTP/1.1', '')),
  refused('HTTP/0.9', 'GET /v1/chat/completions\r\n\r\n'),
  refused('HTTP/2.0', ONE.replace('HTTP/1.1', 'HTTP/2.0')),
  refused('HTTP/1.2', ONE.replace('HTTP/1.1', 'HTTP/1.2')),
  refused('HTTP/1.1 with more behind it', ONE.replace('HTTP/1.1', 'HTTP/1.1 HTTP/1.1')),
  refused('a tab in the request line', ONE.replace('POST /v1', 'POST\t/v1')),
  refused('a NUL in the path', ONE.replace('/v1/chat', '/v1\0/chat')),
  refused('a line break in the path', ONE.replace('/v1/chat', '/v1/chat\r\nx: /chat')),
  refused("HTTP/2's opening", 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  refused("TLS's opening", '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
  // Hosts.
  refused('two Host headers', withLine('host: evil.example')),
  refused('two Host headers that agree', withLine('host: localhost')),
  refused('no Host header', ONE.replace('host: localhost\r\n', '')),
  // Paths that lead elsewhere for another parser.
  ...[
    '/V1/chat/completions',
    '//v1/chat/completions',
    '/v1//chat/completions',
    '/v1/chat/completions/',
    '/v1;x/chat/completions',
    '/v1/chat%2fcompletions',
  ].map((path) => refused(`the path ${path}`, withMethod('POST', path))),
  // What asks for more than an answer.
  served('an upgrade to a web socket', withLine('connection: upgrade\r\nupgrade: websocket')),
  served(
    'an upgrade to HTTP/2',
    withLine('connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk'),
  ),
  served('Expect: 100-continue', withLine('expect: 100-continue')),
  served('a method that is overridden', withLine('x-http-method-override: DELETE')),
  // The hidden one in the body of what is refused, or answered without a look at it.
  ...[
    ['GET', '/health'],
    ['HEAD', '/health'],
    ['GET', '/v1/models'],
    ['POST', '/nowhere'],
    ['DELETE', '/v1/chat/completions'],
    ['TRACE', '/'],
    ['OPTIONS', '*'],
    ['CONNECT', 'localhost:443'],
    ['POST', '/admin/keys'],
  ].flatMap(([method, path]) => [
    refused(
      `${method} ${path} with a body`,
      `${method} ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${EVIL.length}\r\n\r\n${EVIL}`,
    ),
    refused(
      `${method} ${path} with a body in chunks`,
      `${method} ${path} HTTP/1.1\r\nhost: localhost\r\n${CHUNKED}\r\n\r\n${chunks(EVIL)}`,
    ),
  ]),
  refused(
    'a foreign Host with a body',
    ONE.replace('host: localhost', 'host: evil.example')
      .replace(LENGTH, `content-length: ${EVIL.length}`)
      .replace(BODY, EVIL),
  ),
  givenUp('trailers that look like a request', framed([CHUNKED], `${hex(BODY)}\r\n${BODY}\r\n0\r\n${EVIL}`)),
  givenUp('a trailer and then a request', framed([CHUNKED], `${hex(BODY)}\r\n${BODY}\r\n0\r\nx: y\r\n${EVIL}`)),
  refused(
    'a chunk extension that hides a request',
    framed([CHUNKED], `${hex(BODY)};\n${EVIL}\r\n${BODY}\r\n0\r\n\r\n`),
  ),
];
