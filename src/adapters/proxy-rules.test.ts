import { describe, expect, test } from 'bun:test';
import { goesThroughProxy, type ProxyEnvironment } from './proxy-rules.ts';

const PROXY = 'http://proxy.example:3128';

describe('whether a call goes through a proxy', () => {
  test.each<[string, string, ProxyEnvironment, boolean]>([
    ['no variable', 'http://host.example', {}, false],
    ['an empty one', 'http://host.example', { HTTP_PROXY: '' }, false],
    ["the scheme's", 'http://host.example', { HTTP_PROXY: PROXY }, true],
    ["the scheme's in lower case", 'https://host.example', { https_proxy: PROXY }, true],
    ["the other scheme's", 'https://host.example', { HTTP_PROXY: PROXY }, false],
    ['that of all schemes', 'https://host.example', { ALL_PROXY: PROXY }, true],
    ['an exempted host', 'http://host.example', { HTTP_PROXY: PROXY, NO_PROXY: 'other, host.example' }, false],
    ['a subdomain of one', 'http://a.host.example', { HTTP_PROXY: PROXY, NO_PROXY: '.host.example' }, false],
    ['a host that only ends alike', 'http://myhost.example', { HTTP_PROXY: PROXY, NO_PROXY: 'host.example' }, true],
    ['an exempted port', 'http://127.0.0.1:1234', { HTTP_PROXY: PROXY, NO_PROXY: '127.0.0.1:1234' }, false],
    ['another port of that host', 'http://127.0.0.1:1', { HTTP_PROXY: PROXY, NO_PROXY: '127.0.0.1:1234' }, true],
    ['an exempted IPv6 address', 'http://[::1]:80', { HTTP_PROXY: PROXY, NO_PROXY: '::1' }, false],
    ['everything exempted', 'http://host.example', { HTTP_PROXY: PROXY, NO_PROXY: '*' }, false],
  ])('%s', (_name, url, environment, expected) => {
    expect(goesThroughProxy(new URL(url), environment)).toBe(expected);
  });
});
