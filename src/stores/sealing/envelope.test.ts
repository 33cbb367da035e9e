import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { Secret } from '../../core/secret.ts';
import { MasterKeys, type SealedSecret, UnknownMasterKey } from './envelope.ts';

const [one, two] = [new Secret('ab'.repeat(32)), new Secret('cd'.repeat(32))];
const RECORD = 'provider/default/openrouter';

/** What opening throws. */
function faultOf(open: () => unknown): Error | null {
  try {
    open();
    return null;
  } catch (error) {
    return error as Error;
  }
}

describe('S-08 a sealed secret', () => {
  test('opens as what it was, whatever it was, and shows nothing of it', () => {
    const keys = new MasterKeys([one]);
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 8 }), fc.nat(), (text, version) => {
        const sealed = keys.seal(new Secret(text), RECORD, version);
        expect(keys.open(sealed, RECORD).reveal()).toBe(Buffer.from(text, 'utf8').toString('utf8'));
        const shown = JSON.stringify(sealed);
        expect(shown.includes(JSON.stringify(text).slice(1, -1))).toBe(false);
        expect(shown).not.toContain(Buffer.from(text).toString('base64'));
      }),
    );
  });

  test('is another one each time, though it holds the same', () => {
    const keys = new MasterKeys([one]);
    const [first, second] = [keys.seal(new Secret('sk-1'), RECORD, 1), keys.seal(new Secret('sk-1'), RECORD, 1)];
    expect(first.value).not.toBe(second.value);
    expect(first.dataKey).not.toBe(second.dataKey);
  });

  test('does not open as another record or version, nor with any byte changed, nor with parts of another one', () => {
    const keys = new MasterKeys([one]);
    const sealed = keys.seal(new Secret('sk-1'), RECORD, 1);
    const other = keys.seal(new Secret('sk-2'), 'provider/default/azure', 1);
    const spoilt: [SealedSecret, string][] = [
      [sealed, 'provider/default/azure'],
      [sealed, 'provider/acme/openrouter'],
      [{ ...sealed, version: 2 }, RECORD],
      [{ ...sealed, value: other.value }, RECORD],
      [{ ...sealed, dataKey: other.dataKey }, RECORD],
      [{ ...sealed, value: sealed.dataKey }, RECORD],
      [{ ...sealed, value: '' }, RECORD],
    ];
    for (const part of ['value', 'dataKey'] as const) {
      const bytes = Buffer.from(sealed[part], 'base64');
      for (let at = 0; at < bytes.length; at++) {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ 1;
        spoilt.push([{ ...sealed, [part]: changed.toString('base64') }, RECORD]);
      }
    }
    for (const [text, record] of spoilt) expect(faultOf(() => keys.open(text, record))?.message).toMatch(/it (was|is)/);
  });

  test('opens with its own master key alone, and says which one that is', () => {
    const sealed = new MasterKeys([one]).seal(new Secret('sk-1'), RECORD, 1);
    const fault = faultOf(() => new MasterKeys([two]).open(sealed, RECORD));
    expect(fault).toBeInstanceOf(UnknownMasterKey);
    expect(fault?.message).toContain(sealed.masterKeyId);
    expect(sealed.masterKeyId).not.toContain('ab'.repeat(6));
  });

  test('is put under another master key without being sealed anew', () => {
    const sealed = new MasterKeys([one]).seal(new Secret('sk-1'), RECORD, 3);
    const both = new MasterKeys([two, one]);
    expect(both.isCurrent(sealed)).toBe(false);
    const moved = both.rewrap(sealed, RECORD);
    expect([moved.value, moved.version]).toEqual([sealed.value, 3]);
    const onlyNew = new MasterKeys([two]);
    expect(onlyNew.isCurrent(moved)).toBe(true);
    expect(onlyNew.open(moved, RECORD).reveal()).toBe('sk-1');
  });
});
