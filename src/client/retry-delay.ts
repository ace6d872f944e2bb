import { status } from '@grpc/grpc-js';

const FIRST_MS = 100;
const LONGEST_MS = 5_000;

/**
 * How long to wait before a Workload API stream that ended is opened again (Workload Endpoint §6 and
 * Appendix A): undefined, never, after InvalidArgument and Unimplemented; at once when one that had
 * brought something ended, unless with PermissionDenied; else 100 ms doubling to 5 s, ±25 %.
 * @param failures streams in a row that brought nothing
 * @param random from 0 to 1
 */
export function streamRetryDelayMs(
  code: status,
  failures: number,
  random: number,
): number | undefined {
  if (code === status.INVALID_ARGUMENT || code === status.UNIMPLEMENTED) return undefined;
  if (failures === 0 && code !== status.PERMISSION_DENIED) return 0;
  const doublings = Math.min(Math.max(failures - 1, 0), 10);
  const backoff = Math.min(LONGEST_MS, FIRST_MS * 2 ** doublings);
  return Math.round(backoff * (0.75 + 0.5 * random));
}
