import { describe, expect, it } from 'vitest';
import { parseCgroups } from './cgroup.ts';
import { findPodPlace } from './pod-cgroup.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const UID = 'a2830d0d-b0f0-4ff0-81b5-0ee4e299cf80';
const ESCAPED = UID.replaceAll('-', '_');
const find = (text: string, own = '0::/') => findPodPlace(parseCgroups(text), parseCgroups(own));
const place = { podUid: UID, containerId: A };

describe('the pod that a cgroup is named after', () => {
  it.each([
    [
      'v1, cgroupfs',
      `2:pids:/kubepods/burstable/pod${UID}/${A}\n1:cpu:/kubepods/burstable/pod${UID}/${A}`,
    ],
    ['v2, cgroupfs, guaranteed', `0::/kubepods/pod${UID}/${A}`],
    [
      'v2, systemd, containerd',
      `0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${ESCAPED}.slice/cri-containerd-${A}.scope`,
    ],
    [
      'v2, systemd, guaranteed, CRI-O',
      `0::/kubepods.slice/kubepods-pod${ESCAPED}.slice/crio-${A}.scope`,
    ],
    [
      'hybrid, where v2 has the daemon',
      `2:pids:/kubepods.slice/kubepods-pod${ESCAPED}.slice/crio-${A}.scope\n3:rdma:/\n0::/system.slice/crio.service`,
    ],
    [
      'slices that systemd does not keep',
      `0::/kubepods/kubepods-besteffort-pod${ESCAPED}.slice:cri-containerd:${A}`,
    ],
    [
      'kind with systemd',
      `0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod${ESCAPED}.slice/cri-containerd-${A}.scope`,
    ],
    ['kind with cgroupfs', `0::/kubelet/kubepods/besteffort/pod${UID}/${A}`],
    [
      'what a container makes below',
      `0::/kubepods/pod${UID}/${A}/kubepods/podffffffff-b0f0-4ff0-81b5-0ee4e299cf80/${B}`,
    ],
    [
      'another pod, from within one',
      `0::/../../kubepods-besteffort-pod${ESCAPED}.slice/cri-containerd-${A}.scope`,
    ],
    [
      'a pod of another class, from within one',
      `0::/../../../kubepods-burstable.slice/kubepods-burstable-pod${ESCAPED}.slice/cri-containerd-${A}.scope`,
    ],
  ])('is found: %s', (_what, text) => expect(find(text)).toEqual(place));

  it('is that of a static pod, whose UID is a hash', () => {
    const hash = '0123456789abcdef0123456789abcdef';
    expect(find(`0::/kubepods/burstable/pod${hash}/${A}`)).toEqual({
      podUid: hash,
      containerId: A,
    });
  });

  it('is not named where the container is in the own pod of the agent', () => {
    expect(find(`0::/../cri-containerd-${A}.scope`)).toEqual({ podUid: undefined, containerId: A });
  });

  it('is found where the host is a container itself, and seen from outside of it', () => {
    const own = `2:pids:/docker/${B}/kubepods/podffffffff-b0f0-4ff0-81b5-0ee4e299cf80/${A}`;
    const text = `2:pids:/docker/${B}/kubepods/besteffort/pod${UID}/${A}\n0::/docker/${B}/system.slice/containerd.service`;
    expect(find(text, own)).toEqual(place);
    expect(find(text)).toBeUndefined();
  });

  it.each([
    ['a user', `0::/user.slice/user-1000.slice/user@1000.service/kubepods/pod${UID}/${A}`],
    [
      'a user, seen from a pod',
      `0::/../../../../user.slice/user-1000.slice/kubepods/pod${UID}/${A}`,
    ],
    [
      'a user, seen from a pod, with slices',
      `0::/../../../../user.slice/kubepods-pod${ESCAPED}.slice/cri-containerd-${A}.scope`,
    ],
    ['a container that is no pod', `0::/docker/${B}/kubepods/pod${UID}/${A}`],
    ['a service', `0::/system.slice/x.service/kubepods/pod${UID}/${A}`],
    ['a folder that is named alike', `0::/kubepods-x/pod${UID}/${A}`],
    ['a pod without container', `0::/kubepods/pod${UID}`],
    ['a UID that is none', `0::/kubepods/pod${UID.slice(1)}/${A}`],
    ['a container ID that is none', `0::/kubepods/pod${UID}/${A.slice(1)}`],
    ['what watches a container', `0::/kubepods/pod${UID}/crio-conmon-${A}.scope`],
    ['Docker', `0::/system.slice/docker-${A}.scope`],
    ['steps up behind a name', `0::/kubepods/../user.slice/kubepods/pod${UID}/${A}`],
  ])('is none: %s', (_what, text) => expect(find(text)).toBeUndefined());

  it('is refused where hierarchies name different ones', () => {
    const text = `2:pids:/kubepods/pod${UID}/${A}\n1:cpu:/kubepods/pod${UID}/${B}`;
    expect(() => find(text)).toThrow(expect.objectContaining({ code: 'ERR_ATTEST_CONTAINER' }));
  });
});
