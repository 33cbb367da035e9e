import { once } from 'node:events';
import { EXIT_FAILED, EXIT_OK } from './exit-codes.ts';
import { openProcessScreen, type Screen } from './screen.ts';

/** What a command sees of the process, so that tests own it. */
export interface Terminal {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The working folder. */
  readonly directory: string;
  /** May the output hold colours? */
  readonly colours: boolean;
  out(text: string): void;
  error(text: string): void;
  /** Output as it is, without an end of line. Resolves when there is room for more. */
  write(text: string): Promise<void>;
  /** One line that replaces the one before, for a person who waits; null takes it away. Nothing when nobody watches. */
  progress(line: string | null): void;
  /** One line from standard input; asks for it, without showing it, when a person sits there. null: input ended. */
  readSecret(question: string): Promise<string | null>;
  /** All of standard input. */
  readInput(): Promise<Uint8Array>;
  /** Takes over the whole screen; null: the output is no terminal. */
  openScreen(): Screen | null;
}

export function processTerminal(): Terminal {
  return {
    environment: process.env,
    directory: process.cwd(),
    colours: process.stdout.isTTY === true && !process.env['NO_COLOR'],
    out: (text) => void process.stdout.write(`${text}\n`),
    error: (text) => void process.stderr.write(`${text}\n`),
    write: async (text) => {
      if (process.stdout.listenerCount('error') === 0) process.stdout.on('error', endWhenUnread);
      if (!process.stdout.write(text)) await once(process.stdout, 'drain');
    },
    progress: (line) => {
      if (process.stderr.isTTY === true) process.stderr.write(`\r\u001b[K${line ?? ''}`);
    },
    readSecret: (question) => (process.stdin.isTTY ? askHidden(question) : readPipedLine()),
    readInput: () => Bun.stdin.bytes(),
    openScreen: openProcessScreen,
  };
}

/** `| head` has read enough: nothing went wrong. */
function endWhenUnread(error: Error & { readonly code?: string }): void {
  process.exit(error.code === 'EPIPE' ? EXIT_OK : EXIT_FAILED);
}

async function readPipedLine(): Promise<string | null> {
  const [line = ''] = (await Bun.stdin.text()).split(/\r?\n/);
  return line === '' ? null : line;
}

const ENTER = new Set(['\r', '\n', '\u0004']);
const INTERRUPT = '\u0003';
const ERASE = new Set(['\u007f', '\b']);

/** Reads a line in raw mode, so that the key never stands on the screen. */
function askHidden(question: string): Promise<string | null> {
  const { stdin, stderr } = process;
  stderr.write(question);
  stdin.setRawMode(true);
  stdin.resume();
  stdin.setEncoding('utf8');
  return new Promise((resolve) => {
    let typed = '';
    const finish = (line: string | null): void => {
      stdin.off('data', onData);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write('\n');
      resolve(line);
    };
    const onData = (chunk: string | Uint8Array): void => {
      for (const character of String(chunk)) {
        if (character === INTERRUPT || ENTER.has(character)) {
          finish(character === INTERRUPT || typed === '' ? null : typed);
          return;
        }
        typed = ERASE.has(character) ? typed.slice(0, -1) : typed + character;
      }
    };
    stdin.on('data', onData);
  });
}
