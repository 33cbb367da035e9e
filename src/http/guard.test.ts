import { expect, test } from 'bun:test';
import { createGuard } from './guard.ts';
import { HttpError } from './http-error.ts';

const onLoopback = createGuard({ host: '127.0.0.1', loopback: true, allowedHosts: ['box.lan'] });
const onNetwork = createGuard({ host: '0.0.0.0', loopback: false, allowedHosts: [] });

/** `passes`, or with what it is refused. */
function verdict(guard: typeof onLoopback, headers: Record<string, string>): string {
  try {
    guard(new Headers(headers));
    return 'passes';
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    return `${error.status} ${error.code}`;
  }
}

test('on loopback a request names this machine, whatever the port and however often it is asked', () => {
  for (const host of ['localhost:8000', '127.0.0.1', '[::1]:8000', 'LOCALHOST', 'box.lan:1', 'localhost:8000']) {
    expect([host, verdict(onLoopback, { host })]).toEqual([host, 'passes']);
    expect(verdict(onLoopback, { host, origin: `http://${host.toLowerCase()}` })).toBe('passes');
  }
});

test('S-14 a name that holds more than a name is refused, though what is in it is ours', () => {
  const names = ['user@localhost', 'localhost/', 'localhost/admin', 'localhost?x', 'localhost#x', 'localhost\\x'];
  for (const name of names) {
    expect([name, verdict(onLoopback, { host: name })]).toEqual([name, '403 host_not_allowed']);
    const origin = { host: 'localhost', origin: `http://${name}` };
    expect([name, verdict(onLoopback, origin)]).toEqual([name, '403 host_not_allowed']);
  }
  for (const host of ['evil.example', '::::', '']) expect(verdict(onLoopback, { host })).toBe('403 host_not_allowed');
});

test('S-14 a request without a name, or with two, is told so', () => {
  expect(verdict(onLoopback, {})).toBe('400 missing_host');
  for (const guard of [onLoopback, onNetwork]) {
    expect(verdict(guard, { host: 'localhost, localhost' })).toBe('400 duplicate_host');
  }
});

test('on a network any name may be called, since a credential is needed there', () => {
  const sent: Record<string, string>[] = [{}, { host: 'evil.example', origin: 'https://evil.example' }];
  for (const headers of sent) {
    expect(verdict(onNetwork, headers)).toBe('passes');
  }
});
