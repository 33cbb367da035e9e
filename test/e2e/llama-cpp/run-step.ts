/** What a finished step left behind: its exit code and its last lines, for the one line that says why it failed. */
interface StepEnd {
  readonly ok: boolean;
  readonly reason: string;
}

/** A step that installs something did not succeed; the message is one line, fit to be shown as it is. */
export class StepFailed extends Error {
  override name = 'StepFailed';
}

export interface StepOptions {
  /** Shown while it runs, when it takes long. */
  readonly title: string;
  /** After this many milliseconds the step is ended and counts as failed. */
  readonly limitMs: number;
  readonly cwd?: string;
  readonly onProgress?: (line: string) => void;
}

const PROGRESS_EVERY_MS = 15_000;
const SHOWN_REASON_LENGTH = 300;

/**
 * Runs one command to its end, silently but for a progress line every 15 s.
 * @throws StepFailed when the program is missing, fails, or takes longer than `limitMs`.
 */
export async function runStep(command: readonly string[], options: StepOptions): Promise<void> {
  const startedMs = performance.now();
  let lastLine = '';
  const tell = options.onProgress;
  const ticker = setInterval(() => {
    tell?.(`${options.title}: ${secondsSince(startedMs)} s so far${lastLine === '' ? '' : ` (${lastLine})`}`);
  }, PROGRESS_EVERY_MS);
  try {
    const end = await runToEnd(command, options, (line) => {
      lastLine = line.slice(0, 80);
    });
    if (!end.ok) throw new StepFailed(`${options.title} failed: ${end.reason}`);
  } finally {
    clearInterval(ticker);
  }
}

async function runToEnd(
  command: readonly string[],
  options: StepOptions,
  onLine: (line: string) => void,
): Promise<StepEnd> {
  const child = spawnOrExplain(command, options.cwd);
  if (typeof child === 'string') return { ok: false, reason: child };
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    endGroup(child.pid);
  }, options.limitMs);
  const stop = (): void => endGroup(child.pid);
  process.once('exit', stop);
  try {
    const [outputTail, errorTail, code] = await Promise.all([
      lastLines(child.stdout, onLine),
      lastLines(child.stderr, onLine),
      child.exited,
    ]);
    if (timedOut) return { ok: false, reason: `not finished within ${Math.round(options.limitMs / 1000)} s` };
    return { ok: code === 0, reason: oneLine(errorTail === '' ? outputTail : errorTail) || `exit code ${code}` };
  } finally {
    clearTimeout(timer);
    process.off('exit', stop);
  }
}

function spawnOrExplain(command: readonly string[], cwd: string | undefined) {
  try {
    return Bun.spawn([...command], {
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
      // A process group of its own, so that a build tool's compilers end with it.
      detached: true,
      ...(cwd === undefined ? {} : { cwd }),
    });
  } catch (error) {
    return error instanceof Error ? oneLine(error.message) : String(error);
  }
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

/** Reads a stream to its end, keeping only its last few lines (a compiler prints megabytes). */
async function lastLines(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<string> {
  const decoder = new TextDecoder();
  let tail = '';
  for await (const chunk of stream) {
    tail = (tail + decoder.decode(chunk, { stream: true })).slice(-2000);
    const lines = tail.trimEnd().split('\n');
    onLine(lines[lines.length - 1] ?? '');
  }
  return tail.trim();
}

function oneLine(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const telling = lines.findLast((line) => /error|not found|no module|cannot|failed/i.test(line)) ?? lines.at(-1) ?? '';
  return telling.replaceAll(/\s+/g, ' ').trim().slice(0, SHOWN_REASON_LENGTH);
}

function secondsSince(startedMs: number): number {
  return Math.round((performance.now() - startedMs) / 1000);
}
