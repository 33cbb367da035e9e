import { isObject, textOf } from '../../core/json-shape.ts';

/** What an error body says, whatever its dialect. */
export interface ErrorShape {
  readonly message: string;
  /** `error.code`, when it is a word. */
  readonly code: string | null;
  readonly type: string | null;
  readonly param: string | null;
  /** `error.code` or `error.status`, when it is an HTTP status: errors inside a 200 carry theirs there. */
  readonly status: number | null;
  /** OpenRouter's `metadata.error_type` and `availability.code`, Azure's `innererror.code`: more exact than `code`. */
  readonly detail: string | null;
}

/**
 * Finds the error in a reply of any dialect: `{error: text}`, `{error: {…}}`, Anthropic's `{type: "error"}`,
 * old vLLM's `{object: "error", message}`, FastAPI's `{detail}`. Null: there is none in it.
 */
export function findError(body: unknown): ErrorShape | null {
  if (!isObject(body)) return null;
  const { error } = body;
  if (typeof error === 'string' && error !== '') return plain(error);
  if (isObject(error)) return fromObject(error);
  if (body['object'] === 'error' || body['type'] === 'error') return fromObject(body);
  const { detail } = body;
  if (detail !== undefined && !('choices' in body)) {
    return plain(typeof detail === 'string' ? detail : JSON.stringify(detail));
  }
  return null;
}

function plain(message: string): ErrorShape {
  return { message, code: null, type: null, param: null, status: null, detail: null };
}

function fromObject(error: Readonly<Record<string, unknown>>): ErrorShape {
  const { code } = error;
  return {
    message: textOf(error['message']) ?? textOf(error['detail']) ?? 'the server gave no message',
    code: textOf(code),
    type: textOf(error['type']),
    param: textOf(error['param']),
    status: httpStatusOf(code) ?? httpStatusOf(error['status']),
    detail: detailOf(error),
  };
}

function httpStatusOf(value: unknown): number | null {
  const number = typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) && number >= 400 && number <= 599 ? number : null;
}

function detailOf(error: Readonly<Record<string, unknown>>): string | null {
  const { metadata } = error;
  // OpenRouter's moderation refusal is a bare 403, told from a refused key only by the reasons it lists.
  if (isObject(metadata) && ('flagged_input' in metadata || Array.isArray(metadata['reasons'])))
    return 'content_filter';
  for (const [holder, field] of [
    ['availability', 'code'],
    ['metadata', 'error_type'],
    ['innererror', 'code'],
  ] as const) {
    const held = error[holder];
    const found = isObject(held) ? textOf(held[field]) : null;
    if (found !== null) return found;
  }
  return null;
}
