import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import {
  LEDGER_INVARIANTS,
  type LedgerFinding,
  type LedgerInvariant,
  type LedgerVerification,
  type Overcharge,
  type Overcharges,
} from '../../core/ledger-check.ts';
import { NANO_PER_USD } from '../../core/price.ts';
import { AdminError } from './error-envelope.ts';
import { keepOpen } from './origin.ts';
import { needs } from './permission.ts';
import { errorReplies, errorSchema, jsonReply } from './schemas.ts';

export interface LedgerPorts {
  /** Null: there is no store. */
  readonly ledger: () => LedgerVerification | null;
}

const INVARIANTS = Object.keys(LEDGER_INVARIANTS) as LedgerInvariant[];
const invariantName = z.enum(INVARIANTS as [LedgerInvariant, ...LedgerInvariant[]]);

const findingSchema = z
  .object({
    invariant: invariantName,
    organisation: z.string().nullable().openapi({ description: 'Null: it is about the store as a whole.' }),
    subject: z.string().openapi({ description: 'The row.', example: 'budget b1, window from 2026-11-01' }),
    message: z.string(),
  })
  .openapi('LedgerFinding');

const usd = z.number().nullable().openapi({ description: 'Null: the budget counts tokens.' });
const tokens = z.number().int().nullable().openapi({ description: 'Null: the budget counts dollars.' });

const overchargeSchema = z
  .object({
    organisation: z.string(),
    attempt: z.string().openapi({ description: 'The call, as in `GET /admin/usage/export`.' }),
    key: z.string().nullable(),
    target: z.string(),
    model: z.string(),
    budget: z.string(),
    window_start: z.string().openapi({ format: 'date-time' }),
    reserved_usd: usd,
    settled_usd: usd,
    reserved_tokens: tokens,
    settled_tokens: tokens,
  })
  .openapi('LedgerOvercharge');

const overchargedSchema = z
  .object({
    calls: z.number().int().openapi({ description: 'Each once, however many budgets count it.' }),
    excess_usd: z.number().openapi({ description: 'What they came to above what was set aside, each call once.' }),
    excess_tokens: z.number().int(),
    more: z.boolean().openapi({ description: 'There are more than are listed.' }),
    listed: z.array(overchargeSchema).openapi({ description: 'One for each call and budget; the first 100.' }),
  })
  .openapi('LedgerOvercharges', {
    description:
      'Calls that came to more than a hard budget had set aside for them: their servers kept to no limit or charged another price. No finding, since the books agree; the budgets may be overspent by it.',
  });

const verdictSchema = z
  .object({
    ok: z.boolean(),
    attempts: z.number().int().openapi({ description: 'Upstream calls that were looked at.' }),
    budget_parts: z
      .number()
      .int()
      .openapi({ description: 'What they count in budgets, one for each call and budget.' }),
    budget_windows: z.number().int(),
    waiting: z
      .number()
      .int()
      .openapi({ description: 'Starts and ends of calls that the store has not taken yet: they were not looked at.' }),
    store_problem: z.string().nullable().openapi({ description: 'Why the store takes nothing now; null: it does.' }),
    invariants: z.array(
      z.object({
        invariant: invariantName,
        promise: z.string(),
        ok: z.boolean(),
        findings: z.number().int(),
        more: z.boolean().openapi({ description: 'There are more than are listed.' }),
      }),
    ),
    first_broken: findingSchema.nullable().openapi({ description: 'Of the first invariant that is broken.' }),
    findings: z.array(findingSchema).openapi({ description: 'By invariant; of each the first 100.' }),
    overcharged: overchargedSchema,
  })
  .openapi('LedgerVerdict');

const verifyRoute = createRoute({
  method: 'get',
  path: '/admin/ledger/verify',
  tags: ['Usage'],
  ...needs('ledger:verify'),
  operationId: 'verifyLedger',
  summary: 'Whether what calls cost and what budgets have spent agrees; if not, the first broken invariant and the row',
  description:
    'Reads every call on record, in pieces and beside everything else; requests are not held up. Who asks while a check runs gets what that one finds.',
  responses: {
    200: jsonReply('What was found', verdictSchema),
    401: errorReplies.unauthorized,
    404: jsonReply('There is no store to keep it in', errorSchema),
    503: jsonReply('The store cannot be read now', errorSchema),
  },
});

export function addLedgerRoutes(app: OpenAPIHono, { ledger }: LedgerPorts): void {
  app.openapi(verifyRoute, async (context) => {
    const verification = kept(ledger());
    keepOpen(context);
    const { attempts, parts, windows, findings, cutShort, overcharged, backlog } = await verification.verify();
    const body = {
      ok: findings.length === 0,
      attempts,
      budget_parts: parts,
      budget_windows: windows,
      waiting: backlog.waiting,
      store_problem: backlog.problem,
      invariants: INVARIANTS.map((invariant) => {
        const count = findings.filter(({ rule }) => rule === invariant).length;
        const more = cutShort.has(invariant);
        return { invariant, promise: LEDGER_INVARIANTS[invariant], ok: count === 0, findings: count, more };
      }),
      first_broken: findings[0] === undefined ? null : findingBody(findings[0]),
      findings: findings.map(findingBody),
      overcharged: overchargedBody(overcharged),
    };
    return context.json(body, 200);
  });
}

function kept(verification: LedgerVerification | null): LedgerVerification {
  if (verification !== null) return verification;
  const message =
    'There is no ledger here, since there is no store: it begins with the first client key, SWARMROUTER_USAGE=true or ' +
    'SWARMROUTER_DATABASE_URL.';
  throw new AdminError(404, 'ledger_not_kept', message);
}

function findingBody({ rule, organisationId, subject, message }: LedgerFinding): z.infer<typeof findingSchema> {
  return { invariant: rule, organisation: organisationId, subject, message };
}

function overchargedBody(found: Overcharges): z.infer<typeof overchargedSchema> {
  const { calls, excessNanoUsd, excessTokens, parts, listed } = found;
  return {
    calls,
    excess_usd: excessNanoUsd / NANO_PER_USD,
    excess_tokens: excessTokens,
    more: parts > listed.length,
    listed: listed.map(overchargeBody),
  };
}

function overchargeBody(call: Overcharge): z.infer<typeof overchargeSchema> {
  const { unit, reserved, settled } = call;
  const inUsd = unit === 'usd';
  return {
    organisation: call.organisationId,
    attempt: call.attemptId,
    key: call.keyId,
    target: call.targetId,
    model: call.model,
    budget: call.budgetId,
    window_start: new Date(call.windowStartMs).toISOString(),
    reserved_usd: inUsd ? reserved / NANO_PER_USD : null,
    settled_usd: inUsd ? settled / NANO_PER_USD : null,
    reserved_tokens: inUsd ? null : reserved,
    settled_tokens: inUsd ? null : settled,
  };
}
