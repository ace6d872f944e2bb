import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { boundedSelectors } from '../../src/attest/workload/bounded-selectors.ts';
import { parseCgroups } from '../../src/attest/workload/cgroup.ts';
import {
  findContainers,
  findRoots,
  isInContainer,
} from '../../src/attest/workload/container-cgroup.ts';
import { parseEngineContainer } from '../../src/attest/workload/engine-container.ts';
import { findPodPlace } from '../../src/attest/workload/pod-cgroup.ts';
import { parsePodList } from '../../src/attest/workload/pod-list.ts';
import { parseUnitFacts } from '../../src/attest/workload/systemctl.ts';
import { findUnit } from '../../src/attest/workload/systemd-unit.ts';
import { parseSelector } from '../../src/spiffe/index.ts';
import { inspection } from '../fakes/container-engine.ts';
import { podOf } from '../fakes/kubelet.ts';
import { attempt } from './attempt.ts';

const A = 'a'.repeat(64);
const UID = 'a2830d0d-b0f0-4ff0-81b5-0ee4e299cf80';
const POD = `kubepods-burstable-pod${UID.replaceAll('-', '_')}.slice`;

/** What a cgroup may be called: anything without a line feed and a slash. */
const name = fc.oneof(
  fc
    .string({ minLength: 1, maxLength: 12, unit: 'binary' })
    .map((text) => text.replace(/[/\n\0]/gu, '_')),
  fc.constantFrom(A, `docker-${A}.scope`, `libpod-${A}`, 'kubepods.slice', POD, `pod${UID}`, '..'),
  fc.constantFrom(
    `cri-containerd-${A}.scope`,
    'nginx.service',
    'system.slice',
    'kubepods',
    'x.scope',
  ),
);
const path = fc.array(name, { maxLength: 8 }).map((names) => `/${names.join('/')}`);
const hierarchy = fc.constantFrom('', 'pids', 'cpu,cpuacct', 'name=systemd');
const cgroups = fc.array(fc.record({ hierarchy, path }), { maxLength: 6 });
const textOf = (lines: readonly { hierarchy: string; path: string }[]): string =>
  lines.map(({ hierarchy: of, path: at }, index) => `${index}:${of}:${at}\n`).join('');

describe('/proc/<pid>/cgroup', () => {
  it('is read as it was written, whatever cgroups are called', () => {
    fc.assert(
      fc.property(cgroups, (lines) => {
        expect(parseCgroups(textOf(lines))).toEqual(lines);
      }),
    );
  });

  it('is refused, not guessed, when it is of another form', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(() => attempt(() => parseCgroups(text))).not.toThrow();
      }),
    );
  });

  it('names at most four containers, and a process is in one only below its first', () => {
    fc.assert(
      fc.property(cgroups, cgroups, (mine, first) => {
        const found = findContainers(mine);
        expect(found.length).toBeLessThanOrEqual(4);
        const roots = findRoots(first, A);
        if (!isInContainer(mine, roots)) return;
        for (const [of, root] of roots)
          expect(
            mine.some((line) => line.hierarchy === of && `${line.path}/`.startsWith(`${root}/`)),
          ).toBe(true);
      }),
    );
  });

  it('is of no pod and of no unit of the system where a user or a container makes it', () => {
    const owners = fc.constantFrom(
      '/user.slice/user-1000.slice/user@1000.service',
      `/system.slice/docker-${'b'.repeat(64)}.scope`,
      '/system.slice/my.service',
    );
    fc.assert(
      fc.property(owners, path, (owner, below) => {
        const made = [{ hierarchy: '', path: `${owner}${below}` }];
        expect(findPodPlace(made, [{ hierarchy: '', path: '/' }])).toBeUndefined();
        expect(findUnit(made)?.cgroup).toBe(owner);
      }),
    );
  });

  it('is understood, or refused in one way', () => {
    fc.assert(
      fc.property(cgroups, cgroups, (mine, own) => {
        expect(() => attempt(() => findPodPlace(mine, own))).not.toThrow();
        expect(() => attempt(() => findUnit(mine))).not.toThrow();
      }),
    );
  });
});

describe('answers', () => {
  const good = JSON.stringify(inspection(A, { pid: 1 }));
  const pods = JSON.stringify({ kind: 'PodList', items: [podOf({ uid: UID, containers: [A] })] });

  /** A document with a piece put elsewhere, left out or changed. */
  const mutated = (text: string) =>
    fc
      .tuple(fc.nat(text.length), fc.nat(20), fc.oneof(fc.string(), fc.json(), fc.constant('null')))
      .map(([at, length, piece]) => text.slice(0, at) + piece + text.slice(at + length));

  it('of an engine are understood, or refused in one way', () => {
    const body = fc.oneof(mutated(good), fc.json(), fc.string({ unit: 'binary' }));
    fc.assert(
      fc.property(body, (text) => {
        const found = attempt(() => parseEngineContainer(Buffer.from(text), A));
        expect(Number.isInteger(found?.pid ?? 0)).toBe(true);
      }),
    );
  });

  it('of a kubelet are understood, or refused in one way', () => {
    const body = fc.oneof(mutated(pods), fc.json(), fc.string({ unit: 'binary' }));
    fc.assert(
      fc.property(body, (text) => {
        const found = attempt(() => parsePodList(Buffer.from(text)));
        for (const id of found?.containers.keys() ?? []) expect(id).toMatch(/^[0-9a-f]{64}$/);
      }),
    );
  });

  it('of systemctl are understood, or refused in one way', () => {
    const line = fc.oneof(
      fc.constantFrom('Id=a.service', 'ControlGroup=/a', 'FragmentPath=', 'FragmentPath=/x'),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 6 }), (lines) => {
        expect(() => attempt(() => parseUnitFacts(lines.join('\n')))).not.toThrow();
      }),
    );
  });

  it('make selectors that an entry can ask for', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 50 })), (values) => {
        for (const { type, value } of boundedSelectors('docker', values, 'it'))
          expect(parseSelector(`${type}:${value}`)).toEqual({ type, value });
      }),
    );
  });
});
