import type { ModelKind } from '../core/target.ts';

/** Names of models that cannot answer chat, for servers that do not tell the type. */
const EMBEDDING_NAME =
  /(^|[^a-z])embed|^text-embedding|(^|[/_-])(bge|gte|e5|minilm|nomic-bert|snowflake-arctic|jina-clip|mxbai)(?=[-_.\d]|$)|all-minilm|multilingual-e5/i;
const OTHER_NAME =
  /rerank|whisper|(^|[/_-])tts([-_]|$)|dall-e|stable-diffusion|(^|[/_-])flux[-.]|moderation|transcribe|gpt-image|(^|[/_-])sora/i;

/** What a model is for, guessed from its name alone. */
export function kindByName(id: string): ModelKind {
  if (OTHER_NAME.test(id)) return 'other';
  return EMBEDDING_NAME.test(id) ? 'embedding' : 'chat';
}
