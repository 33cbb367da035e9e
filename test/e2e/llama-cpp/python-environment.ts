import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runStep, StepFailed } from './run-step.ts';

export type Tell = (line: string) => void;

/** A virtual environment of Python's, since Debian's own pip refuses to install outside one. */
export interface PythonEnvironment {
  readonly python: string;
  /** Runs pip in it; the arguments follow `pip`. @throws StepFailed */
  pip(title: string, limitMs: number, ...args: string[]): Promise<void>;
}

/** Makes the environment, or takes it as an earlier run left it. @throws StepFailed without Python 3 or its venv. */
export async function pythonEnvironment(folder: string, tell: Tell): Promise<PythonEnvironment> {
  const python = join(folder, 'bin', 'python');
  if (!(await works(python))) await createEnvironment(folder, tell);
  return {
    python,
    pip: (title, limitMs, ...args) =>
      runStep([python, '-m', 'pip', '--disable-pip-version-check', '--no-input', ...args], {
        title,
        limitMs,
        onProgress: tell,
      }),
  };
}

/** An environment that lost its interpreter, or was left half made, is made anew. */
async function works(python: string): Promise<boolean> {
  if (!existsSync(python)) return false;
  try {
    await runStep([python, '-m', 'pip', '--version'], { title: 'looking at the Python environment', limitMs: 30_000 });
    return true;
  } catch {
    return false;
  }
}

async function createEnvironment(folder: string, tell: Tell): Promise<void> {
  if (Bun.which('python3') === null) throw new StepFailed('python3 is not installed (on Debian: python3-venv)');
  try {
    await runStep(['python3', '-m', 'venv', '--clear', folder], {
      title: 'making a Python environment',
      limitMs: 120_000,
      onProgress: tell,
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StepFailed(`${reason} (on Debian the package python3-venv is needed)`);
  }
}
