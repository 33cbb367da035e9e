import { HttpError } from './http-error.ts';

/** The whole body, or 413 as soon as it is known to be too large. */
export async function readBody(request: Request, maxBytes: number): Promise<Uint8Array> {
  const declared = request.headers.get('content-length');
  if (declared !== null) {
    if (Number(declared) > maxBytes) throw tooLarge(maxBytes);
    return new Uint8Array(await request.arrayBuffer());
  }
  return readUnsized(request, maxBytes);
}

/** A chunked body says nothing of its size: count while it comes. */
async function readUnsized(request: Request, maxBytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  if (request.body !== null) {
    for await (const piece of request.body as unknown as AsyncIterable<Uint8Array>) {
      length += piece.length;
      if (length > maxBytes) throw tooLarge(maxBytes);
      pieces.push(piece);
    }
  }
  return Buffer.concat(pieces);
}

function tooLarge(maxBytes: number): HttpError {
  return new HttpError(
    413,
    'request_too_large',
    `The request body is larger than ${Math.floor(maxBytes / 1_048_576)} MiB. Send less, or raise SWARMROUTER_MAX_BODY_MB.`,
    // The rest of the body will not be read: the connection cannot be used again.
    { headers: { connection: 'close' } },
  );
}
