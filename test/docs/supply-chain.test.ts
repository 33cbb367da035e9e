import { describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Glob } from 'bun';

const root = join(import.meta.dir, '..', '..');
const read = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8'));

interface Locked {
  readonly version: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly hasInstallScript?: boolean;
}

const manifest: {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
} = read('package.json');
const lock: Readonly<Record<string, Locked>> = read('package-lock.json').packages;
const packages = Object.entries(lock).filter(([path]) => path !== '');
/** Of the installed product. */
const shipped = packages.filter(([, { dev, optional }]) => dev !== true && optional !== true);

/** Each new one is a decision: raise the number in the commit that says why. */
const MOST_DIRECT = 11;
const MOST_SHIPPED = 28;
/** It only links the runtime, which the launcher finds without it. */
const MAY_RUN_SCRIPTS = ['bun'];
const LICENCES = ['MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'BlueOak-1.0.0', 'Python-2.0'];

const nameOf = (path: string): string => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);

describe('S-23 the packages that the product is made of', () => {
  test('are locked with a hash of each, and with no address that could lead elsewhere', () => {
    expect(packages.length).toBeGreaterThan(100);
    for (const [path, { integrity, resolved }] of packages) {
      expect(`${path} ${integrity?.split('-')[0]}`).toBe(`${path} sha512`);
      expect(`${path} ${resolved}`).toBe(`${path} undefined`);
    }
  });

  test('are asked for by exact versions, the locked ones', () => {
    for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
      expect(`${name} ${version}`).toMatch(/^\S+ \d+\.\d+\.\d+$/);
      expect(`${name} ${lock[`node_modules/${name}`]?.version}`).toBe(`${name} ${version}`);
    }
  });

  test('run no script when they are installed, but for those that are known', () => {
    const scripted = packages.filter(([, { hasInstallScript }]) => hasInstallScript === true);
    expect(scripted.map(([path]) => nameOf(path))).toEqual(MAY_RUN_SCRIPTS);
  });

  test('are few, and do not grow more by themselves', () => {
    expect(Object.keys(manifest.dependencies).length).toBeLessThanOrEqual(MOST_DIRECT);
    expect(shipped.length).toBeLessThanOrEqual(MOST_SHIPPED);
  });

  test('have a licence that lets them be shipped', () => {
    const others = shipped.filter(([, { license }]) => !LICENCES.includes(license ?? ''));
    expect(others.map(([path, { license }]) => `${path} ${license}`)).toEqual([]);
  });

  test('L-02 could start no program and evaluate no text, but for the two that are known not to here', () => {
    const able = shipped.filter(([path]) => {
      const folder = join(root, path);
      if (!existsSync(folder) || nameOf(path) === 'bun') return false;
      const files = [...new Glob('**/*.{js,mjs,cjs}').scanSync(folder)];
      return files.some((file) => CAN_DO_MORE.test(readFileSync(join(folder, file), 'utf8')));
    });
    // commander starts programs for commands that are files, of which there is none; zod compiles its schemas, which is
    // turned off (src/http/admin/zod-interpreted.ts, and the test below).
    expect(able.map(([path]) => nameOf(path))).toEqual(['commander', 'zod']);
  });

  test('L-02 evaluate no text while the control plane is loaded and asked', async () => {
    const script = `
      let made = 0;
      globalThis.Function = new Proxy(Function, {
        construct(target, given, maker) { made++; return Reflect.construct(target, given, maker); },
        apply(target, self, given) { made++; return Reflect.apply(target, self, given); },
      });
      const { buildAdminApp } = await import(${JSON.stringify(join(root, 'src/http/admin/app.ts'))});
      const { adminPorts, ADMIN_KEY } = await import(${JSON.stringify(join(root, 'src/http/admin/admin-fixture.ts'))});
      const { z } = await import('@hono/zod-openapi');
      z.strictObject({ name: z.string() }).safeParse({ name: 'x' });
      const app = buildAdminApp(adminPorts());
      const headers = { authorization: 'Bearer ' + ADMIN_KEY };
      const paths = new Set(app.routes.filter(({ method }) => method === 'GET').map(({ path }) => path));
      for (const path of paths) await app.fetch(new Request('http://localhost' + path.replace(/:\\w+/, 'x'), { headers }));
      const product = made;
      new Function('return 1')();
      console.log(JSON.stringify({ asked: paths.size, product, seen: made - product }));
    `;
    const child = Bun.spawn({ cmd: [process.execPath, '-e', script], cwd: root, stdout: 'pipe', stderr: 'pipe' });
    const told = JSON.parse(await new Response(child.stdout).text());
    expect(told.asked).toBeGreaterThan(20);
    // The last number shows that it would be seen.
    expect([told.product, told.seen]).toEqual([0, 1]);
  });
});

const CAN_DO_MORE = /['"](node:)?(child_process|vm|cluster)['"]|\beval\(|new Function\(|new F\(|\bFunction\(['"`]/;
