import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { AuditEvent } from '../../core/audit.ts';
import { AdminError } from './error-envelope.ts';
import { auditOriginOf } from './origin.ts';
import { needs } from './permission.ts';
import { errorReplies, errorSchema, jsonReply } from './schemas.ts';

export interface SecretPorts {
  /** Another master key for the keys of providers. Null: the operator gives the master keys. */
  readonly renewMasterKey: (() => Promise<{ readonly sealed: number }>) | null;
  /** Resolves when it is on record. */
  readonly recordAudit: (event: AuditEvent) => Promise<void>;
}

const route = createRoute({
  tags: ['Administration'],
  ...needs('secret:rotate'),
  method: 'post',
  path: '/admin/secrets/rotate',
  operationId: 'rotateMasterKey',
  summary: 'Make another master key, and put the keys of all providers under it',
  description: 'While the gateway runs. The master key before opens nothing any more.',
  responses: {
    200: jsonReply('Done', z.object({ sealed: z.number().int() }).openapi('MasterKeyRotated')),
    401: errorReplies.unauthorized,
    409: jsonReply('The master key is given by SWARMROUTER_MASTER_KEY', errorSchema),
    503: jsonReply('It cannot be put on record, or written; the keys open as before', errorSchema),
  },
});

export function addSecretRoutes(app: OpenAPIHono, { renewMasterKey, recordAudit }: SecretPorts): void {
  app.openapi(route, async (context) => {
    if (renewMasterKey === null) {
      const message =
        'The master key is given by SWARMROUTER_MASTER_KEY. Put a new one (openssl rand -hex 32) and a comma before it, and start the gateway again: then everything is under the new one, and the old one may go.';
      throw new AdminError(409, 'master_key_given', message);
    }
    await recordAudit({ origin: auditOriginOf(context), action: 'secret.rotate', subject: 'master-key' });
    const { sealed } = await renewMasterKey().catch(notWritten);
    return context.json({ sealed }, 200);
  });
}

function notWritten(error: unknown): never {
  const why = error instanceof Error ? error.message : String(error);
  throw new AdminError(
    503,
    'master_key_not_written',
    `The master key could not be renewed: ${why}. Every key opens as before.`,
  );
}
