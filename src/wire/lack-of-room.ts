import type { Room } from './room.ts';
import type { Refusal } from './wire-metrics.ts';

/** Why a connection is refused. */
interface Lack {
  readonly reason: Refusal;
  readonly why: string;
}

/** Why a network may open no further connection; undefined: there is room for one. */
export function lackOfRoom(room: Room<string>, network: string): Lack | undefined {
  if (room.isFull) return { reason: 'max_connections', why: `there are ${room.size} connections` };
  if (room.hasRoomFor(network)) return undefined;
  const why = `${network} has ${room.of(network)} connections`;
  return { reason: 'max_connections_per_network', why };
}
