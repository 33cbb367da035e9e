import { describe, expect, test } from 'bun:test';
import { SendingTurns } from './sending-turns.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the turns in which calls are sent', () => {
  test('a call that is alone is sent at once, also after others were answered', () => {
    const turns = new SendingTurns();
    for (let round = 0; round < 3; round++) {
      expect(turns.begin()).toBeNull();
      turns.answered();
    }
  });

  test('those that come while another waits for its reply are sent together when the turn ends', async () => {
    const turns = new SendingTurns();
    turns.begin();
    const sent: number[] = [];
    for (const number of [1, 2, 3]) void turns.begin()?.then(() => sent.push(number));
    await Promise.resolve();
    expect(sent).toEqual([]);
    await turn();
    expect(sent).toEqual([1, 2, 3]);
  });

  test('what comes in the next turn waits for the end of that one', async () => {
    const turns = new SendingTurns();
    turns.begin();
    const first = turns.begin();
    await first;
    expect(turns.begin()).not.toBe(first);
  });
});
