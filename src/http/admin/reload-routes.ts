import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { AuditOrigin } from '../../core/audit.ts';
import type { Problem } from '../../core/problem.ts';
import type { ConfigState, ReloadResult } from '../../core/reload.ts';
import { auditOriginOf } from './origin.ts';
import { needs } from './permission.ts';
import { errorReplies, errorSchema, jsonReply } from './schemas.ts';

export interface ReloadPorts {
  /** Resolves when it is in force or refused, and on record. */
  reload(origin: AuditOrigin): Promise<ReloadResult>;
  configState(): ConfigState;
}

const names = z.array(z.string());

const RESTART = 'Settings that are written otherwise than they are in force: they count only after a restart.';

const problemSchema = z
  .object({
    where: z.string(),
    name: z.string(),
    seen: z.string().nullable(),
    message: z.string(),
    allowed: z.string().nullable(),
    fix: z.string(),
  })
  .openapi('SettingProblem');

const reloadedSchema = z
  .object({
    reloaded: z.literal(true),
    version: z.number().int(),
    changed: names.openapi({ description: 'Settings that changed, by their environment names, and `routes`.' }),
    needs_restart: names.openapi({ description: RESTART }),
    targets: z.object({ added: names, removed: names, changed: names, kept: names }),
  })
  .openapi('Reloaded');

const refusedSchema = errorSchema.extend({ problems: z.array(problemSchema) }).openapi('ReloadRefused');

const route = createRoute({
  method: 'post',
  path: '/admin/reload',
  operationId: 'reload',
  tags: ['Administration'],
  summary: 'Reads the configuration anew; with any problem the old one stays in force',
  ...needs('configuration:reload'),
  responses: {
    200: jsonReply('It is in force', reloadedSchema),
    401: errorReplies.unauthorized,
    422: jsonReply('It is wrong, and nothing changed', refusedSchema),
  },
});

export function addReloadRoute(app: OpenAPIHono, ports: ReloadPorts): void {
  app.openapi(route, async (context) => {
    const result = await ports.reload(auditOriginOf(context));
    if (!result.ok) return context.json(refusal(result.problems), 422);
    const { changed, needRestart, targets } = result;
    const { version } = ports.configState();
    const { added, removed, changed: changedTargets, kept } = targets;
    return context.json(
      {
        reloaded: true as const,
        version,
        changed: [...changed],
        needs_restart: [...needRestart],
        targets: { added: [...added], removed: [...removed], changed: [...changedTargets], kept: [...kept] },
      },
      200,
    );
  });
}

function refusal(problems: readonly Problem[]): z.infer<typeof refusedSchema> {
  const lines = problems.map(({ where, name, message, fix }) => `${name} (${where}): ${message}; ${fix}`);
  const message = `The configuration is wrong, and nothing was changed. ${lines.join('. ')}.`;
  return {
    error: { message, type: 'invalid_request_error', param: problems[0]?.name ?? null, code: 'invalid_configuration' },
    problems: problems.map((problem) => ({ ...problem })),
  };
}

export const configStateSchema = z
  .object({
    version: z
      .number()
      .int()
      .openapi({ description: '1 at the start, one more with each reload that changed something.' }),
    loaded_at: z.string(),
    needs_restart: names.openapi({ description: RESTART }),
    last_error: z
      .object({ at: z.string(), problems: z.array(problemSchema) })
      .nullable()
      .openapi({ description: 'The latest reload was refused, and why; null: it was not.' }),
  })
  .openapi('ConfigState');

export function configStateBody(state: ConfigState): z.infer<typeof configStateSchema> {
  const { version, loadedAtWallMs, needRestart, lastError } = state;
  return {
    version,
    loaded_at: new Date(loadedAtWallMs).toISOString(),
    needs_restart: [...needRestart],
    last_error:
      lastError === null
        ? null
        : {
            at: new Date(lastError.atWallMs).toISOString(),
            problems: lastError.problems.map((problem) => ({ ...problem })),
          },
  };
}
