import type { Screen } from './screen.ts';
import type { Terminal } from './terminal.ts';

export interface RecordedTerminal extends Terminal {
  /** What was written so far. */
  readonly written: () => { readonly out: string; readonly error: string };
  /** The lines of progress, in their order; null: taken away. */
  readonly progressed: readonly (string | null)[];
}

/** A terminal for the tests of the command line: nothing of this process's own, and what is written is kept. */
export function recordedTerminal({
  typed = null,
  input = '',
  screen = null,
  ...rest
}: Partial<Pick<Terminal, 'environment' | 'directory' | 'colours'>> & {
  readonly typed?: string | null;
  /** Standard input. */
  readonly input?: string;
  readonly screen?: Screen | null;
} = {}): RecordedTerminal {
  const progressed: (string | null)[] = [];
  let out = '';
  let error = '';
  return {
    environment: {},
    directory: '/',
    colours: false,
    ...rest,
    out: (text) => {
      out += `${text}\n`;
    },
    error: (text) => {
      error += `${text}\n`;
    },
    write: async (text) => {
      out += text;
    },
    progress: (line) => void progressed.push(line),
    progressed,
    readSecret: async () => typed,
    readInput: async () => new TextEncoder().encode(input),
    openScreen: () => screen,
    written: () => ({ out, error }),
  };
}
