import { pino } from 'pino';
import type { Logger } from '../core/logger.ts';
import type { LineOutput } from './line-output.ts';
import { safeJsonLine, safeText } from './line-safety.ts';

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
  flush(): Promise<void>;
  flushNow(): void;
}

/** What the process writes about itself. A `Secret` among the fields shows as `[secret]`. */
export function createLog(options: LogOptions): Log {
  const lines = options.format === 'json' ? jsonLines(options) : readableLines(options);
  return {
    ...lines,
    format: options.format,
    flush: () => options.output.flush(),
    flushNow: () => options.output.flushNow(),
  };
}

/** The readable form when a person is watching, else JSON lines. */
export function formatFor(stdoutIsTerminal: boolean): LogFormat {
  return stdoutIsTerminal ? 'readable' : 'json';
}

function jsonLines({ level, output, wallMs }: LogOptions): Logger {
  const logger = pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date(wallMs()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: serialiseError },
    },
    { write: (line: string) => output.write(safeJsonLine(line)) },
  );
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
  };
}

function serialiseError(value: unknown): unknown {
  return value instanceof Error ? pino.stdSerializers.err(value) : value;
}

function readableLines({ level, output, wallMs }: LogOptions): Logger {
  const lowest = LOG_LEVELS.indexOf(level);
  const writer = (at: LogLevel) => (fields: object, message: string) => {
    if (LOG_LEVELS.indexOf(at) < lowest) return;
    output.write(`${readableLine(at, wallMs(), fields, message)}\n`);
  };
  return { debug: writer('debug'), info: writer('info'), warn: writer('warn'), error: writer('error') };
}

/** `12:04:31 warn message key=value`; the level is left out for the ordinary `info`. Time is the machine's own. */
export function readableLine(level: LogLevel, wallMs: number, fields: object, message: string): string {
  const time = new Date(wallMs).toTimeString().slice(0, 8);
  const details = Object.entries(fields)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => `${name}=${fieldText(value)}`);
  return safeText([time, ...(level === 'info' ? [] : [level]), message, ...details].join(' '));
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
