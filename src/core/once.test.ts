import { describe, expect, test } from 'bun:test';
import { Once } from './once.ts';

describe('what is made once', () => {
  test('is not made before somebody asks', () => {
    const once = new Once(() => Promise.reject(new Error('made too early')));
    expect(once.begun).toBe(false);
  });

  test('is one for all who ask at once and later', async () => {
    let made = 0;
    const once = new Once(async () => {
      await Promise.resolve();
      made += 1;
      return made;
    });
    expect(await Promise.all([once.get(), once.get(), once.get()])).toEqual([1, 1, 1]);
    expect(await once.get()).toBe(1);
    expect(once.begun).toBe(true);
  });

  test('fails for all who waited, and is tried again for the next', async () => {
    let tries = 0;
    const once = new Once(async () => {
      await Promise.resolve();
      tries += 1;
      if (tries === 1) throw new Error('not now');
      return tries;
    });
    const results = await Promise.allSettled([once.get(), once.get()]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(once.begun).toBe(false);
    expect(await once.get()).toBe(2);
  });

  test('is tried again, too, when the making fails before it waits for anything', async () => {
    let tries = 0;
    const once = new Once((): Promise<number> => {
      tries += 1;
      if (tries === 1) throw new Error('at once');
      return Promise.resolve(tries);
    });
    await expect(once.get()).rejects.toThrow('at once');
    expect(await once.get()).toBe(2);
  });
});
