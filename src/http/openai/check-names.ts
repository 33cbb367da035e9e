import { CHAT_MEMBERS } from '../../core/body-fields.ts';
import { type JsonPath, repeatedMember } from '../../core/json-repeats.ts';
import type { JsonObject } from '../../core/json-shape.ts';
import type { MemberNames } from '../../core/member-names.ts';
import { HttpError } from '../http-error.ts';

/**
 * Servers differ in which of two members counts, and some take `Model` for `model`: what was checked and counted here,
 * and what is changed on the way, must be what they read. Throws HttpError for what they may read otherwise.
 * @param members how many the bytes have, before JSON.parse kept one of two
 * @returns whether some member that means nothing here is there twice, in a schema for instance
 */
export function checkNames(body: JsonObject, rawBody: Uint8Array, members: number): boolean {
  const walk = new NameWalk();
  if (!walk.isGood(body, CHAT_MEMBERS)) throw misspelt(walk);
  if (walk.members === members) return false;
  const path = repeatedMember(rawBody, CHAT_MEMBERS);
  if (path === null) return true;
  const param = textOf(path);
  throw refused(`"${param}" is there more than once. Send it once.`, param, 'repeated_parameter');
}

/** Each request is looked through whole: so nothing is made on the way but counts, and the path only when it is needed. */
class NameWalk {
  /** Of all objects together. */
  members = 0;
  /** From the inside outwards, to the object with the wrong member. */
  readonly path: (string | number)[] = [];
  wrong = '';
  right = '';

  /** @param names Of its members; null: none means anything */
  isGood(value: object, names: MemberNames | null): boolean {
    return Array.isArray(value) ? this.#isGoodList(value, names) : this.#isGoodObject(value as JsonObject, names);
  }

  #isGoodList(list: readonly unknown[], names: MemberNames | null): boolean {
    for (let index = 0; index < list.length; index++) {
      const item = list[index];
      if (typeof item !== 'object' || item === null || this.isGood(item, names)) continue;
      this.path.push(index);
      return false;
    }
    return true;
  }

  #isGoodObject(object: JsonObject, names: MemberNames | null): boolean {
    for (const name in object) {
      this.members++;
      let inner: MemberNames | null | undefined = null;
      if (names !== null) {
        inner = names.of(name);
        if (inner === undefined && !this.#isOwn(name, names)) return false;
      }
      const value = object[name];
      if (typeof value !== 'object' || value === null || this.isGood(value, inner ?? null)) continue;
      this.path.push(name);
      return false;
    }
    return true;
  }

  #isOwn(name: string, names: MemberNames): boolean {
    const right = names.inOtherLetters(name);
    if (right === null) return true;
    this.wrong = name;
    this.right = right;
    return false;
  }
}

function misspelt({ path, wrong, right }: NameWalk): HttpError {
  const around = path.toReversed();
  const message = `"${textOf([...around, wrong])}" is not a parameter: write it "${right}".`;
  return refused(message, textOf([...around, right]), 'misspelt_parameter');
}

/** `messages[0].content[1].text` */
function textOf(path: JsonPath): string {
  return path
    .map((step, index) => (typeof step === 'number' ? `[${step}]` : `${index === 0 ? '' : '.'}${step}`))
    .join('');
}

function refused(message: string, param: string, code: string): HttpError {
  return new HttpError(400, code, message, { param });
}
