import { BLOCK_TOKENS, blockCount, type Trace, type TraceRequest } from './trace.ts';

/** Says file, line, the value that is wrong and what is allowed there. */
export class TraceError extends Error {
  constructor(file: string, line: number, found: string, allowed: string) {
    super(`${file}:${line}: ${found}; allowed: ${allowed}.`);
    this.name = 'TraceError';
  }
}

const MOONCAKE_SHAPE =
  '{"timestamp": ms, "input_length": tokens, "output_length": tokens, "hash_ids": [one id per 512 tokens]}';
const AZURE_HEAD = 'TIMESTAMP,ContextTokens,GeneratedTokens';

/** Text of a trace file → its requests. The shape is told from the first line. */
export function parseTrace(file: string, text: string): TraceRequest[] {
  const lines = text.split(/\r?\n/);
  const first = lines[0]?.trim() ?? '';
  if (first.startsWith('{')) return parseLines(lines, 1, (line, at) => mooncakeRequest(file, at, line));
  if (first === AZURE_HEAD) return parseAzure(file, lines.slice(1));
  throw new TraceError(file, 1, `begins with ${quoted(first)}`, `a line ${MOONCAKE_SHAPE} or the head ${AZURE_HEAD}`);
}

export function traceNamed(name: string, says: string, requests: TraceRequest[]): Trace {
  const sorted = [...requests].sort((a, b) => a.arrivalMs - b.arrivalMs);
  const firstMs = sorted[0]?.arrivalMs ?? 0;
  return {
    name,
    says,
    generated: false,
    requests: sorted.map((request) => ({ ...request, arrivalMs: request.arrivalMs - firstMs })),
  };
}

function parseLines<T>(lines: readonly string[], firstLine: number, parse: (line: string, at: number) => T): T[] {
  const parsed: T[] = [];
  lines.forEach((line, at) => {
    if (line.trim() !== '') parsed.push(parse(line, firstLine + at));
  });
  return parsed;
}

function mooncakeRequest(file: string, at: number, line: string): TraceRequest {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    throw new TraceError(file, at, `${quoted(line)} is no JSON`, MOONCAKE_SHAPE);
  }
  const fields = (typeof parsed === 'object' && parsed !== null ? parsed : {}) as Record<string, unknown>;
  const inputTokens = wholeNumber(file, at, 'input_length', fields['input_length'], 1);
  return {
    arrivalMs: wholeNumber(file, at, 'timestamp', fields['timestamp'], 0),
    inputTokens,
    outputTokens: wholeNumber(file, at, 'output_length', fields['output_length'], 0),
    blocks: blockIds(file, at, fields['hash_ids'], inputTokens),
  };
}

function blockIds(file: string, at: number, value: unknown, inputTokens: number): number[] {
  const count = blockCount(inputTokens);
  const allowed = `${count} whole numbers, one per ${BLOCK_TOKENS} of ${inputTokens} tokens`;
  if (!Array.isArray(value)) throw new TraceError(file, at, `hash_ids is ${shown(value)}`, allowed);
  if (value.length !== count) throw new TraceError(file, at, `hash_ids has ${value.length} ids`, allowed);
  for (const id of value) {
    if (!Number.isSafeInteger(id)) throw new TraceError(file, at, `hash_ids contains ${shown(id)}`, allowed);
  }
  return value as number[];
}

function parseAzure(file: string, lines: readonly string[]): TraceRequest[] {
  // The file says nothing of contents: no two prompts share anything.
  let nextBlock = 0;
  return parseLines(lines, 2, (line, at) => {
    const cells = line.split(',');
    if (cells.length !== 3) throw new TraceError(file, at, `${quoted(line)} has ${cells.length} cells`, AZURE_HEAD);
    const inputTokens = wholeNumber(file, at, 'ContextTokens', cells[1], 1);
    return {
      arrivalMs: instantMs(file, at, cells[0] ?? ''),
      inputTokens,
      outputTokens: wholeNumber(file, at, 'GeneratedTokens', cells[2], 0),
      blocks: Array.from({ length: blockCount(inputTokens) }, () => nextBlock++),
    };
  });
}

function instantMs(file: string, at: number, text: string): number {
  const match = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?$/.exec(text.trim());
  // Date.parse knows three decimals; these files have seven.
  const ms = match === null ? Number.NaN : Date.parse(`${match[1]}T${match[2]}Z`) + Number(match[3] ?? 0) * 1000;
  if (Number.isNaN(ms)) throw new TraceError(file, at, `TIMESTAMP is ${quoted(text)}`, 'YYYY-MM-DD HH:MM:SS.fraction');
  return ms;
}

function wholeNumber(file: string, at: number, name: string, value: unknown, least: number): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= least) return number;
  throw new TraceError(file, at, `${name} is ${shown(value)}`, `a whole number of at least ${least}`);
}

function shown(value: unknown): string {
  return value === undefined ? 'missing' : quoted(JSON.stringify(value));
}

function quoted(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}…` : text === '' ? 'nothing' : text;
}
