import { describe, expect, test } from 'bun:test';
import { baseUrlFor, checkUrl, isLoopbackHost, maskUserInfo, sameServerKey } from './urls.ts';

describe('addresses', () => {
  test('a trailing slash goes, a path stays', () => {
    expect(checkUrl('http://box:1234/')).toEqual({ ok: true, url: 'http://box:1234' });
    expect(checkUrl('https://proxy/lm/studio//')).toEqual({ ok: true, url: 'https://proxy/lm/studio' });
  });

  test.each([
    ['localhost:1234', 'http://'],
    ['ftp://box', 'http://'],
    ['http://', 'not a valid URL'],
    ['http://box:99999', 'not a valid URL'],
    ['http://me:pw@box', 'user name'],
    ['http://box/?key=1', 'query'],
    ['http://box/?', 'query'],
    ['http://box/#x', 'fragment'],
  ])('%s is refused, and the reason says why', (text, reason) => {
    const checked = checkUrl(text);
    expect(checked.ok).toBe(false);
    expect(checked.ok ? '' : checked.reason).toContain(reason);
  });

  test('a pasted /v1 goes where the wire starts at the root, and stays where it is the base of the API', () => {
    expect(baseUrlFor('lm-studio', 'http://box:1234/v1')).toBe('http://box:1234');
    expect(baseUrlFor('vllm', 'http://box/vllm/v1')).toBe('http://box/vllm');
    expect(baseUrlFor('openai-compatible', 'https://api.example.com/v1')).toBe('https://api.example.com/v1');
    expect(baseUrlFor('openrouter', 'https://openrouter.ai/api/v1')).toBe('https://openrouter.ai/api/v1');
    expect(baseUrlFor('azure-openai', 'https://r.openai.azure.com/openai/v1')).toBe('https://r.openai.azure.com');
  });

  test('what stands before the @ is never shown', () => {
    expect(maskUserInfo('http://me:pw@box')).toBe('http://…@box');
  });

  test('localhost, 127.0.0.1 and ::1 are one server', () => {
    const keys = ['http://localhost:1234', 'http://127.0.0.1:1234', 'http://[::1]:1234'].map(sameServerKey);
    expect(new Set(keys).size).toBe(1);
    expect(sameServerKey('http://localhost.example.com')).toBe('http://localhost.example.com');
  });

  test('only loopback names are loopback', () => {
    expect(['localhost', 'LOCALHOST', '127.0.0.1', '127.1.2.3', '::1', '[::1]'].every(isLoopbackHost)).toBe(true);
    expect(['0.0.0.0', '::', '192.168.1.2', 'localhost.example.com', '127.example.com'].some(isLoopbackHost)).toBe(
      false,
    );
  });
});
