import { z } from '@hono/zod-openapi';

/** OpenAI's envelope: every error of every endpoint. */
export const errorSchema = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string().nullable(),
    }),
  })
  .openapi('Error');

/** A documented reply with a JSON body. */
export function jsonReply<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { 'application/json': { schema } } };
}

export const errorReplies = {
  unauthorized: jsonReply('No admin key, or not the right one', errorSchema),
  tooLarge: jsonReply('The body is larger than 64 KiB', errorSchema),
  notJson: jsonReply('The body is not JSON', errorSchema),
  badRequest: jsonReply('The body is wrong; the message lists every problem', errorSchema),
};

/** Name of the security scheme of the control plane in the OpenAPI document. */
export const ADMIN_SECURITY = [{ adminKey: [] }];
