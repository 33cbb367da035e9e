// As much of the package as the tests use; it has no types of its own.
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http';

  export interface Context {
    readonly path: string;
    body: unknown;
    readonly oidc?: { readonly client?: { readonly clientId: string }; readonly session?: { accountId?: string } };
  }
  export default class Provider {
    constructor(issuer: string, configuration: object);
    readonly Grant: new (properties: {
      readonly accountId: string;
      readonly clientId: string;
    }) => { addOIDCScope(scopes: string): void; save(): Promise<unknown> };
    callback(): (request: IncomingMessage, response: ServerResponse) => void;
    use(middleware: (context: Context, next: () => Promise<void>) => Promise<void>): void;
    interactionFinished(request: IncomingMessage, response: ServerResponse, result: object): Promise<void>;
  }
}
