import type { Vouched } from '../../core/people.ts';
import { AdminError } from './error-envelope.ts';
import { shown } from './problems.ts';
import { throttledLogin } from './throttled-login.ts';

export type OidcRefusal =
  | {
      readonly reason:
        | 'no_ticket'
        | 'response'
        | 'replayed'
        | 'code'
        | 'token'
        | 'denied'
        | 'no_role'
        | 'disabled'
        | 'unavailable';
      readonly vouched: Vouched | null;
      /** `unavailable`: the provider is not asked again before, ms. Null or left out: it may be asked at once. */
      readonly retryAfterMs?: number | null;
    }
  | { readonly reason: 'throttled'; readonly waitMs: number; readonly vouched?: null };

/** A provider that failed once may be there a moment later. */
const USUAL_WAIT_MS = 5_000;
const AGAIN = 'Begin again at /login.';

/** What a login at an identity provider that came to nothing is told. Nothing of what a stranger may have sent is repeated. */
export function oidcRefusal(refusal: OidcRefusal): AdminError {
  switch (refusal.reason) {
    case 'throttled':
      return throttledLogin(refusal.waitMs);
    case 'no_ticket':
      return new AdminError(
        400,
        'oidc_login_not_begun',
        `This browser did not begin this login, or it took longer than ten minutes, or it does not keep cookies. ${AGAIN}`,
      );
    case 'response':
      return new AdminError(
        400,
        'oidc_response_invalid',
        `What came back from the identity provider does not fit the login that this browser began. ${AGAIN}`,
      );
    case 'replayed':
      return new AdminError(400, 'oidc_login_spent', `This login was used before, and counts once. ${AGAIN}`);
    case 'code':
      return new AdminError(
        401,
        'oidc_code_refused',
        `The identity provider does not know this login (any more). ${AGAIN}`,
      );
    case 'token':
      return new AdminError(
        401,
        'oidc_token_refused',
        `The token of the identity provider is not one to trust; the gateway's log says why. ${AGAIN}`,
      );
    case 'denied':
      return new AdminError(
        403,
        'oidc_denied',
        `The identity provider did not let you in, or you did not want to. ${AGAIN}`,
      );
    case 'no_role':
      return new AdminError(
        403,
        'oidc_no_role',
        `You are known${calledOf(refusal.vouched)}, but nothing that the identity provider says of you gives you a role here. Ask whoever runs the gateway: SWARMROUTER_OIDC_ROLES says what gives one.`,
      );
    case 'disabled':
      return new AdminError(403, 'user_disabled', 'You were shut out here. Ask an admin of your organisation.');
    case 'unavailable':
      return unavailable(Math.ceil((refusal.retryAfterMs ?? USUAL_WAIT_MS) / 1_000));
  }
}

function unavailable(waitSeconds: number): AdminError {
  return new AdminError(
    503,
    'oidc_unavailable',
    `The identity provider does not answer, or not as it should; the gateway's log says more. Nothing else is affected: try again in ${waitSeconds} s, or log in with a password.`,
    { headers: { 'retry-after': String(waitSeconds) } },
  );
}

const calledOf = (vouched: Vouched | null): string => (vouched === null ? '' : ` as ${shown(vouched.name)}`);
