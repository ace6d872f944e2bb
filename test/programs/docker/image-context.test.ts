import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { createRunFolder } from '../run-folder.ts';
import { buildImageContext, imageTagOf, parseLdd, writeImageContext } from './image-context.ts';

const LDD = `	linux-vdso.so.1 (0x00007f6ee9177000)
	libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f6ee9086000)
	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f6ee1e1e000)
	/lib64/ld-linux-x86-64.so.2 (0x00007f6ee9179000)
`;

function newFolder(): string {
  const folder = createRunFolder();
  onTestFinished(async () => await folder.remove());
  return folder.path;
}

it('reads the libraries and the loader out of what ldd prints, not what the kernel brings', () => {
  expect(parseLdd(LDD)).toEqual([
    '/lib/x86_64-linux-gnu/libm.so.6',
    '/lib/x86_64-linux-gnu/libc.so.6',
    '/lib64/ld-linux-x86-64.so.2',
  ]);
  expect(parseLdd('\tstatically linked\n')).toEqual([]);
});

it('refuses a binary whose library is missing', () => {
  expect(() => parseLdd('\tlibmusl.so => not found\n')).toThrow('libmusl.so');
});

it('lays out the binary and its libraries FROM scratch, links as what they point to', () => {
  const source = newFolder();
  const [binary, library, link] = ['envoy', 'libc-2.so', 'libc.so'].map((name) =>
    path.join(source, name),
  );
  if (binary === undefined || library === undefined || link === undefined) throw new Error();
  writeFileSync(binary, 'the binary', { mode: 0o755 });
  writeFileSync(library, 'the library');
  symlinkSync('libc-2.so', link);
  const context = buildImageContext(binary, `\tlibc.so => ${link} (0x00007f6ee1e1e000)\n`);
  const folder = newFolder();
  writeImageContext(context, folder);
  expect(readdirSync(folder).sort()).toEqual(['Dockerfile', 'root']);
  expect(readFileSync(path.join(folder, 'Dockerfile'), 'utf8')).toMatch(/^FROM scratch\n/);
  const root = path.join(folder, 'root');
  expect(readFileSync(path.join(root, 'usr/local/bin/envoy'), 'utf8')).toBe('the binary');
  expect(readFileSync(path.join(root, link), 'utf8')).toBe('the library');
});

it('has another tag when a byte of a file changes, and the same elsewhere', () => {
  const folder = newFolder();
  const tags = ['one', 'one', 'two'].map((content, index) => {
    const place = path.join(folder, String(index));
    mkdirSync(place);
    writeFileSync(path.join(place, 'envoy'), content);
    return imageTagOf(buildImageContext(path.join(place, 'envoy'), ''));
  });
  expect(tags[0]).toMatch(/^trustplane-envoy:[\da-f]{16}$/);
  expect(tags[1]).toBe(tags[0]);
  expect(tags[2]).not.toBe(tags[0]);
});
