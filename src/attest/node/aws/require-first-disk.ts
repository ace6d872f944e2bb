import { refused } from '../cloud/refused.ts';
import type { Ec2Instance } from './describe-instance.ts';

const MAX_APART_MS = 60_000;

/**
 * Refuses an instance whose root disk is not the one it was launched with: the disk was attached at
 * about the time of the first network interface, which cannot be replaced. An instance store is
 * always the first.
 * @throws TrustplaneError ERR_NODE_ATTEST_INSTANCE
 */
export function requireFirstDisk(instance: Ec2Instance): void {
  const first = instance.interfaces.find(({ index }) => index === '0');
  if (first === undefined) throw tampered('it has no network interface with the index 0');
  if (instance.rootDeviceType === 'instance-store') return;
  const root = instance.devices.find(({ name }) => name === instance.rootDeviceName);
  if (instance.rootDeviceName === undefined || root === undefined) {
    throw tampered('its root disk is not among its disks');
  }
  const apartMs = Math.abs(first.attachedAt - root.attachedAt);
  // Not a number is not at most that either.
  if (apartMs <= MAX_APART_MS) return;
  throw tampered(
    `its root disk was attached ${apartMs / 1000} s apart from its first network interface; at most ${MAX_APART_MS / 1000} are allowed`,
  );
}

function tampered(why: string): Error {
  return refused('ERR_NODE_ATTEST_INSTANCE', `the instance may not join: ${why}`);
}
