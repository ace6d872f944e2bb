/** Joins two hashes of 32 bits. */
export function mix(one: number, other: number): number {
  const joined = Math.imul(one ^ other, 0x9e3779b1) ^ Math.imul(one, 31);
  return (joined ^ (joined >>> 15)) >>> 0;
}

/** FNV-1a of the characters from `start` to `end`. */
export function hashOf(text: string, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}
