import type { Clock } from '../core/clock.ts';
import { BodyClock, type BodyInRead, type BodyLimits, type BodySender } from './body-clock.ts';
import { HttpError } from './http-error.ts';

/** Longer ones are read piece by piece, so that it is seen whether they come at all. */
const READ_AT_ONCE_BYTES = 256 * 1024;

/** Reads bodies whole: no larger than allowed, and no slower. */
export class BodyReader {
  readonly #clock: BodyClock;

  constructor(clock: Clock, limits: BodyLimits) {
    this.#clock = new BodyClock(clock, limits);
  }

  /**
   * Rejects with HttpError: 413 as soon as it is known to be too large, 408 when it is dripped, 429 with too many of
   * those. Few promises, as every request pays for them.
   */
  read(request: Request, maxBytes: number, sender: () => BodySender): Promise<Uint8Array> {
    const declared = request.headers.get('content-length');
    if (declared !== null && Number(declared) > maxBytes) return Promise.reject(tooLarge(maxBytes));
    const isShort = declared !== null && Number(declared) <= READ_AT_ONCE_BYTES;
    return new Promise((resolve, reject) => {
      const inRead = this.#clock.start(sender, reject, !isShort);
      const reading: Promise<ArrayBuffer | Uint8Array> = isShort
        ? request.arrayBuffer()
        : readPieces(request, maxBytes, inRead);
      // What comes of it after it was given up is nobody's any more.
      reading.then(
        (bytes) => {
          this.#clock.end(inRead);
          resolve(bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes));
        },
        (error: unknown) => {
          this.#clock.end(inRead);
          reject(error);
        },
      );
    });
  }

  stop(): void {
    this.#clock.stop();
  }
}

/** A chunked body says nothing of its size: count while it comes. */
async function readPieces(request: Request, maxBytes: number, inRead: BodyInRead): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  if (request.body !== null) {
    for await (const piece of request.body as unknown as AsyncIterable<Uint8Array>) {
      inRead.receivedBytes += piece.length;
      if (inRead.receivedBytes > maxBytes) throw tooLarge(maxBytes, { connection: 'close' });
      pieces.push(piece);
    }
  }
  return Buffer.concat(pieces);
}

/** @param headers An unread body of stated length is left to the server, which knows where the next request begins. */
function tooLarge(maxBytes: number, headers: Readonly<Record<string, string>> = {}): HttpError {
  const limit = maxBytes >= 1_048_576 ? `${Math.floor(maxBytes / 1_048_576)} MiB` : `${maxBytes} bytes`;
  const message = `The request body is larger than ${limit}. Send less, or raise SWARMROUTER_MAX_BODY_MB.`;
  return new HttpError(413, 'request_too_large', message, { headers });
}
