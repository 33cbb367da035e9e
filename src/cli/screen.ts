/** The whole screen of a terminal, while a command shows something that changes. */
export interface Screen {
  readonly columns: number;
  readonly rows: number;
  /** In place of what stood there. */
  draw(frame: string): void;
  /** True when the time is over; false as soon as the person wants out. */
  pause(ms: number): Promise<boolean>;
  /** Resolves when the person wants out: `q`, Ctrl-C or a signal. */
  readonly left: Promise<void>;
  /** Gives the terminal back as it was. */
  close(): void;
}

const ENTER_SCREEN = '\u001b[?1049h\u001b[?25l';
const LEAVE_SCREEN = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';
/** The last two are Ctrl-C and Ctrl-D. */
const QUIT_KEYS = new Set(['q', 'Q', '\u0003', '\u0004']);
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Takes over this process's terminal; null: the output is not one. */
export function openProcessScreen(): Screen | null {
  const { stdin, stdout } = process;
  if (stdout.isTTY !== true) return null;
  let leave = (): void => undefined;
  const left = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const onKeys = (keys: string | Uint8Array): void => {
    if ([...String(keys)].some((key) => QUIT_KEYS.has(key))) leave();
  };
  // Also when the process ends by an error: a person must not be left in a raw terminal without a cursor.
  const restore = (): void => {
    stdout.write(LEAVE_SCREEN);
    if (stdin.isTTY) stdin.setRawMode(false);
  };
  stdout.write(ENTER_SCREEN);
  process.once('exit', restore);
  for (const signal of SIGNALS) process.on(signal, leave);
  if (stdin.isTTY) {
    stdin.setRawMode(true);
    stdin.resume();
    stdin.on('data', onKeys);
  }
  return {
    get columns() {
      return stdout.columns;
    },
    get rows() {
      return stdout.rows;
    },
    draw: (frame) =>
      void stdout.write(`${HOME}${frame.replaceAll('\n', `${CLEAR_LINE}\r\n`)}${CLEAR_LINE}${CLEAR_BELOW}`),
    pause: (ms) => pauseOrLeave(ms, left),
    left,
    close: () => {
      process.off('exit', restore);
      for (const signal of SIGNALS) process.off(signal, leave);
      stdin.off('data', onKeys);
      restore();
      stdin.pause();
    },
  };
}

async function pauseOrLeave(ms: number, left: Promise<void>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<true>((resolve) => {
    timer = setTimeout(() => resolve(true), ms);
  });
  const goesOn = await Promise.race([over, left.then(() => false as const)]);
  clearTimeout(timer);
  return goesOn;
}
