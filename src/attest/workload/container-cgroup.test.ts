import { describe, expect, it } from 'vitest';
import { parseCgroups } from './cgroup.ts';
import { findContainers, findRoots, isInContainer } from './container-cgroup.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const ids = (text: string): string[] => findContainers(parseCgroups(text)).map(({ id }) => id);

describe('the container that a cgroup is named after', () => {
  it.each([
    ['docker, v1, cgroupfs', `12:pids:/docker/${A}\n1:name=systemd:/docker/${A}\n0::/system.slice`],
    ['docker, v2, cgroupfs', `0::/docker/${A}`],
    ['docker, v2, systemd', `0::/system.slice/docker-${A}.scope`],
    ['docker with a parent of its own', `0::/my/parent/${A}`],
    ['docker with a slice of its own', `0::/my.slice/docker-${A}.scope`],
    ['docker from within a cgroup namespace', `0::/../docker-${A}.scope`],
    ['docker, systemd inside', `0::/system.slice/docker-${A}.scope/system.slice/nginx.service`],
    ['podman, systemd', `0::/machine.slice/libpod-${A}.scope/container`],
    ['podman, cgroupfs', `0::/libpod_parent/libpod-${A}`],
    ['podman in a unit (Quadlet)', `0::/system.slice/web.service/libpod-payload-${A}`],
    ['containerd, systemd', `0::/kubepods.slice/kubepods-podx.slice/cri-containerd-${A}.scope`],
    [
      'containerd, slices without systemd',
      `0::/system.slice/kubepods-podx.slice:cri-containerd:${A}`,
    ],
    ['CRI-O', `0::/kubepods.slice/kubepods-podx.slice/crio-${A}.scope`],
    ['CRI-O, cgroupfs', `0::/kubepods/podx/crio-${A}`],
  ])('is found: %s', (_what, text) => expect(ids(text)).toEqual([A]));

  it.each([
    ['a user', '0::/user.slice/user-1000.slice/session-1.scope'],
    ['the root', '12:pids:/\n0::/'],
    ['what watches a podman container', `0::/machine.slice/libpod-conmon-${A}.scope`],
    ['what watches a CRI-O container', `0::/system.slice/crio-conmon-${A}.scope`],
    ['too short', `0::/docker/${A.slice(1)}`],
    ['too long', `0::/docker/${A}a`],
    ['upper case', `0::/docker/${A.toUpperCase()}`],
    ['only a part of a name', `0::/docker/x${A}`],
    ['a deleted cgroup', `0::/docker/${A} (deleted)`],
    ['another suffix', `0::/docker/${A}.service`],
  ])('is none: %s', (_what, text) => expect(ids(text)).toEqual([]));

  it('is of the outermost first, in whatever line it stands', () => {
    expect(ids(`2:pids:/docker/${A}/docker/${B}\n0::/docker/${A}`)).toEqual([A, B]);
    expect(ids(`2:pids:/x/docker/${B}\n0::/docker/${A}`)).toEqual([A, B]);
  });

  it('is one of four at most', () => {
    const path = ['1', '2', '3', '4', '5', '6'].map((digit) => `/${digit.repeat(64)}`).join('');
    expect(ids(`0::${path}`)).toHaveLength(4);
  });

  it('tells Podman, and the user in whose slice it is', () => {
    const rootless = `0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${A}.scope/container`;
    expect(findContainers(parseCgroups(rootless))).toEqual([
      { id: A, isPodman: true, ownerUid: 1000 },
    ]);
    const within = `0::/../../user.slice/user-7.slice/user@7.service/docker-${A}.scope`;
    expect(findContainers(parseCgroups(within))).toEqual([{ id: A, isPodman: false, ownerUid: 7 }]);
    const ofRoot = `0::/user.slice/user-0.slice/session-1.scope/libpod-${A}`;
    expect(findContainers(parseCgroups(ofRoot))).toEqual([
      { id: A, isPodman: true, ownerUid: undefined },
    ]);
  });
});

describe('whether a process is in a container', () => {
  const inA = (text: string, first: string): boolean =>
    isInContainer(parseCgroups(text), findRoots(parseCgroups(first), A));

  it('is told by the place of its first process', () => {
    const first = `0::/system.slice/docker-${A}.scope/init.scope`;
    expect(inA(`0::/system.slice/docker-${A}.scope`, first)).toBe(true);
    expect(inA(`0::/system.slice/docker-${A}.scope/system.slice/x.service`, first)).toBe(true);
    expect(inA(`0::/system.slice/docker-${A}.scope.d`, first)).toBe(false);
  });

  it('is not told by a name alone', () => {
    const first = `0::/system.slice/docker-${A}.scope`;
    expect(inA(`0::/user.slice/docker-${A}.scope`, first)).toBe(false);
    expect(inA(`0::/docker/${B}/system.slice/docker-${A}.scope`, first)).toBe(false);
    expect(inA(`0::/docker/${A}`, '0::/docker')).toBe(false);
  });

  it('asks for every hierarchy in which the container has a place', () => {
    const first = `2:pids:/docker/${A}\n1:name=systemd:/docker/${A}\n0::/`;
    expect(inA(`2:pids:/docker/${A}\n1:name=systemd:/docker/${A}\n0::/elsewhere`, first)).toBe(
      true,
    );
    expect(inA(`2:pids:/docker/${A}\n1:name=systemd:/\n0::/`, first)).toBe(false);
    expect(inA(`2:pids:/docker/${A}\n0::/`, first)).toBe(false);
  });
});

it('refuses what is no /proc/<pid>/cgroup', () => {
  for (const text of ['x', '0:/', '0::relative', ':pids:/'])
    expect(() => parseCgroups(text)).toThrow(expect.objectContaining({ code: 'ERR_ATTEST_PROC' }));
  expect(parseCgroups('3:cpu,cpuacct:/a:b\n')).toEqual([
    { hierarchy: 'cpu,cpuacct', path: '/a:b' },
  ]);
});
