import type { Screen } from './screen.ts';
import type { Terminal } from './terminal.ts';

export interface RecordedTerminal extends Terminal {
  /** What was written so far. */
  readonly written: () => { readonly out: string; readonly error: string };
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
    readSecret: async () => typed,
    readInput: async () => new TextEncoder().encode(input),
    openScreen: () => screen,
    written: () => ({ out, error }),
  };
}
