import type { Socket } from 'bun';

/** Bun's raw sockets keep nothing that the kernel did not take: this keeps it until the socket drains. */
export class SocketWriter {
  readonly #socket: Socket<unknown>;
  #waiting: Buffer[] = [];

  constructor(socket: Socket<unknown>) {
    this.#socket = socket;
  }

  write(bytes: Buffer): void {
    if (this.#waiting.length > 0) {
      this.#waiting.push(bytes);
      return;
    }
    const written = this.#socket.write(bytes);
    if (written >= 0 && written < bytes.length) this.#waiting.push(bytes.subarray(written));
  }

  /** Call from the socket's `drain`. */
  drain(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const bytes of waiting) this.write(bytes);
  }
}
