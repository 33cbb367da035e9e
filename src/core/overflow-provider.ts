import type { Secret } from './secret.ts';

interface Common {
  /** Unique among targets; `openrouter` and `azure` for those two types. */
  readonly name: string;
  readonly apiKey: Secret;
  /** `lan`: a private or loopback address is meant. `public`: the address must be public, checked before each call. */
  readonly network: 'lan' | 'public';
}

/** A cloud provider given at run time through the admin API. Kept over restarts, stronger than the environment until deleted. */
export type OverflowProvider =
  | (Common & { readonly type: 'openrouter'; readonly baseUrl: string | null; readonly defaultModel: string | null })
  | (Common & {
      readonly type: 'azure';
      readonly endpoint: string;
      readonly apiVersion: string | null;
      /** Asked model → deployment. */
      readonly deployments: Readonly<Record<string, string>>;
      readonly defaultDeployment: string | null;
    })
  | (Common & {
      readonly type: 'openai-compatible';
      readonly baseUrl: string;
      readonly defaultModel: string | null;
    });

/** Where overflow providers given at run time are kept. */
export interface OverflowProviderStore {
  load(): Promise<readonly OverflowProvider[]>;
  /** Replaces the whole list, durably, or rejects and leaves the old one. */
  save(providers: readonly OverflowProvider[]): Promise<void>;
}
