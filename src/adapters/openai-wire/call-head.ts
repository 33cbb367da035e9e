import type { InferenceRequest } from '../../core/request.ts';
import type { AdapterKind, Target } from '../../core/target.ts';

/** What a vendor's calls look like from outside. */
export interface HeadMaker {
  readonly kind: AdapterKind;
  /** Where chat completions are posted. */
  chatUrl(target: Target, model: string): string;
  /** The credential and whatever else the vendor wants to be told. */
  headers(target: Target): Record<string, string>;
}

/** What all calls to one target share. */
interface TargetHead {
  readonly headers: Readonly<Record<string, string>>;
  /** Model → URL. */
  readonly urls: Map<string, string>;
  readonly isLocal: boolean;
  /** It can be another gateway, or this one. */
  readonly countsHops: boolean;
}

/** Clients choose the model names of targets that know no list: their URLs must not pile up. */
const MAX_URLS = 64;

/**
 * Where calls are posted and with which headers. Made once a target: targets are immutable, so a changed one is
 * another object, and with the old one its credential is let go.
 */
export class CallHeads {
  readonly #vendor: HeadMaker;
  readonly #heads = new WeakMap<Target, TargetHead>();

  constructor(vendor: HeadMaker) {
    this.#vendor = vendor;
  }

  url(target: Target, model: string): string {
    const { urls } = this.#headOf(target);
    const known = urls.get(model);
    if (known !== undefined) return known;
    if (urls.size >= MAX_URLS) urls.clear();
    const url = this.#vendor.chatUrl(target, model);
    urls.set(model, url);
    return url;
  }

  headers(target: Target, request: InferenceRequest): Record<string, string> {
    const head = this.#headOf(target);
    const headers = { ...head.headers };
    if (head.isLocal) {
      // Only the operator's own servers see which request it was: for others it would tie calls together.
      headers['x-request-id'] = request.id;
      if (request.traceparent !== null) headers['traceparent'] = request.traceparent;
    }
    if (head.countsHops) headers['x-swarmrouter-hops'] = String(request.hops + 1);
    return headers;
  }

  #headOf(target: Target): TargetHead {
    const known = this.#heads.get(target);
    if (known !== undefined) return known;
    const isLocal = target.place === 'local';
    const head: TargetHead = {
      headers: {
        ...this.#vendor.headers(target),
        'content-type': 'application/json',
        'accept-encoding': 'identity',
      },
      urls: new Map(),
      isLocal,
      countsHops: this.#vendor.kind === 'openai-compatible' || isLocal,
    };
    this.#heads.set(target, head);
    return head;
  }
}
