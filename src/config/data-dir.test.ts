import { describe, expect, test } from 'bun:test';
import { absolutePath, defaultDataDir } from './data-dir.ts';

describe('the data folder', () => {
  test("is the platform's own place for a user's data", () => {
    const at = (platform: string, homeDirectory: string, environment = {}) =>
      defaultDataDir({ platform, homeDirectory, environment });
    expect(at('linux', '/home/ann')).toBe('/home/ann/.local/share/swarmrouter');
    expect(at('linux', '/home/ann', { XDG_DATA_HOME: '/data' })).toBe('/data/swarmrouter');
    expect(at('linux', '/home/ann', { XDG_DATA_HOME: 'relative' })).toBe('/home/ann/.local/share/swarmrouter');
    expect(at('darwin', '/Users/ann')).toBe('/Users/ann/Library/Application Support/swarmrouter');
    expect(at('win32', 'C:\\Users\\ann', { LOCALAPPDATA: 'D:\\Local' })).toBe('D:\\Local\\swarmrouter');
    expect(at('win32', 'C:\\Users\\ann')).toBe('C:\\Users\\ann\\AppData\\Local\\swarmrouter');
  });

  test('a written path may begin with ~ or be relative to the working folder', () => {
    const machine = { platform: 'linux', homeDirectory: '/home/ann' };
    expect(absolutePath('~/swarm', '/srv', machine)).toBe('/home/ann/swarm');
    expect(absolutePath('~', '/srv', machine)).toBe('/home/ann');
    expect(absolutePath('data', '/srv', machine)).toBe('/srv/data');
    expect(absolutePath('/var/lib/swarm', '/srv', machine)).toBe('/var/lib/swarm');
  });
});
