import type { Logger } from '../core/logger.ts';
import { jsonLine } from './json-line.ts';
import type { LineOutput } from './line-output.ts';
import { safeText } from './line-safety.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** `json`: one JSON object a line, for machines · `readable`: one plain line, for a person at a terminal. */
export type LogFormat = 'json' | 'readable';

export interface LogOptions {
  /** Lines below this level are not made at all. */
  readonly level: LogLevel;
  readonly format: LogFormat;
  readonly output: LineOutput;
  /** Milliseconds since the Unix epoch, for the time of each line. */
  readonly wallMs: () => number;
}

export interface Log extends Logger {
  readonly format: LogFormat;
  /** Whether `info` lines are written, for callers whose fields are costly to make. */
  readonly infoWritten: boolean;
  flush(): Promise<void>;
  flushNow(): void;
}

/** What the process writes about itself. A `Secret` among the fields shows as `[secret]`. */
export function createLog(options: LogOptions): Log {
  const { format, output } = options;
  const isWritten = (level: LogLevel) => LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(options.level);
  const write = createWriter(options);
  const writerOf = (level: LogLevel): Logger[LogLevel] =>
    isWritten(level) ? (fields, message) => write(level, fields, message) : () => undefined;
  return {
    debug: writerOf('debug'),
    info: writerOf('info'),
    warn: writerOf('warn'),
    error: writerOf('error'),
    format,
    infoWritten: isWritten('info'),
    flush: () => output.flush(),
    flushNow: () => output.flushNow(),
  };
}

type Write = (level: LogLevel, fields: object, message: string) => void;

function createWriter({ format, output, wallMs }: LogOptions): Write {
  const toLine = format === 'json' ? jsonLine : readableLine;
  const write: Write = (level, fields, message) => output.write(toLine(level, wallMs(), fields, message));
  return (level, fields, message) => {
    const dropped = output.takeDropped();
    // Told whatever the level is: whoever reads the log must know that it has a hole.
    if (dropped > 0)
      write('warn', { dropped_lines: dropped }, 'log lines were dropped: they were not read fast enough');
    write(level, fields, message);
  };
}

/** The readable form when a person is watching, else JSON lines. */
export function formatFor(stdoutIsTerminal: boolean): LogFormat {
  return stdoutIsTerminal ? 'readable' : 'json';
}

/** `12:04:31 warn message key=value`; with its line feed; the level is left out for the ordinary `info`. Time is the machine's own. */
export function readableLine(level: LogLevel, wallMs: number, fields: object, message: string): string {
  const time = new Date(wallMs).toTimeString().slice(0, 8);
  const details = Object.entries(fields)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => `${name}=${fieldText(value)}`);
  return `${safeText([time, ...(level === 'info' ? [] : [level]), message, ...details].join(' '))}\n`;
}

function fieldText(value: unknown): string {
  if (value instanceof Error) return value.message;
  if (typeof value === 'string') return value;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return '[not shown]';
  }
}
