import { boolean, listOf, seconds, secret, url } from '../setting-kinds.ts';
import { A_DAY, optional, type Setting, setting } from './setting.ts';

const urls = listOf(
  url,
  'url list',
  'one URL or several, separated by commas: http:// or https://, without user name, query and fragment',
);

const localUrls = (name: string, server: string, port: number): Setting<readonly string[] | null> =>
  optional(name, urls, `unset: looked for on localhost:${port} unless a local URL is configured`, {
    group: 'Other local servers',
    doc: `Address of ${server}, one or several separated by commas.`,
    example: `http://localhost:${port}`,
  });

/** Model servers of your own. */
export const LOCAL_SERVERS = {
  lmstudioEnabled: optional('LMSTUDIO_ENABLED', boolean, 'unset: on', {
    group: 'LM Studio',
    doc: 'Whether LM Studio is used. `true` says that it is expected: its absence is then reported.',
    example: 'true',
  }),
  lmstudioUrl: optional('LMSTUDIO_URL', urls, 'unset: http://localhost:1234', {
    group: 'LM Studio',
    doc: 'Address of LM Studio, one or several separated by commas. A pasted `/v1` at the end is dropped.',
    example: 'http://localhost:1234',
  }),
  lmstudioTimeoutMs: setting('LMSTUDIO_TIMEOUT', seconds(0.1, A_DAY), '30', {
    group: 'Clocks',
    doc: 'How long a local server, of any kind, whose model is loaded may take to its first byte.',
  }),
  lmstudioApiKey: optional('LMSTUDIO_API_KEY', secret, 'unset: none is sent', {
    group: 'LM Studio',
    doc: 'API token of LM Studio, when its server asks for one.',
  }),

  ollamaUrl: localUrls('OLLAMA_URL', 'Ollama', 11434),
  llamacppUrl: optional(
    'LLAMACPP_URL',
    urls,
    'unset: looked for on localhost:8080 and 9931 unless a local URL is configured',
    {
      group: 'Other local servers',
      doc: 'Address of llama.cpp (llama-server), one or several separated by commas.',
      example: 'http://localhost:8080',
    },
  ),
  vllmUrl: localUrls('VLLM_URL', 'vLLM', 8000),
  sglangUrl: localUrls('SGLANG_URL', 'SGLang', 30000),
} as const;
