import { expect, test } from 'bun:test';
import { assert, property, string } from 'fast-check';
import { parseRequest } from './http-request.ts';

function chunked(text: string, size: number): Buffer {
  const bytes = Buffer.from(text);
  const parts = [Buffer.from('POST /a?b=c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n')];
  for (let at = 0; at < bytes.length; at += size) {
    const slice = bytes.subarray(at, at + size);
    parts.push(Buffer.from(`${slice.length.toString(16)}\r\n`), slice, Buffer.from('\r\n'));
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}

test('reads a body of any text, by content-length and in chunks of 3 bytes, and takes nothing of the next request', () => {
  assert(
    property(string({ unit: 'grapheme' }), (text) => {
      const next = Buffer.from('GET /next HTTP/1.1\r\n\r\n');
      const plain = Buffer.from(`POST / HTTP/1.1\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
      for (const one of [plain, chunked(text, 3)]) {
        const parsed = parseRequest(Buffer.concat([one, next]));
        if (parsed.state !== 'complete') throw new Error(`state is ${parsed.state}`);
        expect([parsed.request.rawBody, parsed.consumed]).toEqual([text, one.length]);
      }
    }),
  );
});

test('waits for the rest, wherever the request is cut', () => {
  const whole = chunked('some text', 4);
  for (let length = 0; length < whole.length; length++) {
    expect(parseRequest(whole.subarray(0, length)).state).toBe('incomplete');
  }
});

test('refuses what is no HTTP, and a length that is no number', () => {
  expect(parseRequest(Buffer.from('hello\r\n\r\n')).state).toBe('invalid');
  expect(parseRequest(Buffer.from('POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n')).state).toBe('invalid');
});
