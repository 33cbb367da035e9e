import type { Refusal } from '../core/refusal.ts';

/** Where clients put their key: OpenAI's, Anthropic's and Azure's way. No endpoint reads another header for it. */
export const CARRIERS = ['authorization', 'x-api-key', 'api-key'] as const;
export type Carrier = (typeof CARRIERS)[number];

export type Credential =
  | { readonly kind: 'none' }
  | { readonly kind: 'sent'; readonly carrier: Carrier; readonly text: string }
  | { readonly kind: 'several'; readonly refusal: Refusal }
  | { readonly kind: 'malformed'; readonly refusal: Refusal };

const NONE: Credential = { kind: 'none' };
const CARRIER_NAMES: Readonly<Record<Carrier, string>> = {
  authorization: 'Authorization',
  'x-api-key': 'x-api-key',
  'api-key': 'api-key',
};

/**
 * The one credential that a request brings along, the same way for all endpoints. Two carriers at once are refused, be
 * they equal: parts that looked at different ones would disagree on who is calling.
 */
export function readCredential(headers: Headers): Credential {
  let found: Carrier | null = null;
  let value = '';
  for (const carrier of CARRIERS) {
    const sent = headers.get(carrier);
    if (sent === null) continue;
    if (found !== null) return { kind: 'several', refusal: severalCarriers(found, carrier) };
    found = carrier;
    value = sent;
  }
  if (found === null) return NONE;
  const text = found === 'authorization' ? bearerText(value) : value.trim();
  if (text === null) return malformed(found, 'it must read "Bearer <key>"');
  if (text === '') return malformed(found, 'it is empty');
  if (/\s/.test(text)) return malformed(found, 'it has blanks inside');
  return { kind: 'sent', carrier: found, text };
}

/** 401 for a credential that cannot be right. `fault` is a clause that does not repeat the value. */
export function malformedCredential(carrier: Carrier, fault: string): Refusal {
  return unauthorized(`The header ${CARRIER_NAMES[carrier]} holds no API key of this gateway: ${fault}.`);
}

/** 401 in OpenAI's words. */
export function unauthorized(message: string): Refusal {
  return { status: 401, code: 'invalid_api_key', message, param: null, headers: { 'www-authenticate': 'Bearer' } };
}

function malformed(carrier: Carrier, fault: string): Credential {
  return { kind: 'malformed', refusal: malformedCredential(carrier, fault) };
}

function severalCarriers(first: Carrier, second: Carrier): Refusal {
  const names = `${CARRIER_NAMES[first]} and ${CARRIER_NAMES[second]}`;
  const message = `Two credentials were sent, in the headers ${names}. Send one of them.`;
  return { status: 400, code: 'multiple_credentials', message, param: null, headers: {} };
}

/** Null: another scheme, or none. */
function bearerText(value: string): string | null {
  // As nearly everybody writes it.
  if (value.startsWith('Bearer ')) return value.slice(7).trim();
  return value.slice(0, 6).toLowerCase() === 'bearer' && (value.length === 6 || value[6] === ' ')
    ? value.slice(7).trim()
    : null;
}
