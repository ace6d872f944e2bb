/**
 * A set that is nearly always of one: nothing, the item itself, or a Set of several. Among 100,000
 * entries this saves a Set for each SPIFFE ID and selector.
 */
export type Bag<T extends object> = T | ReadonlySet<T> | undefined;

export function bagWith<T extends object>(bag: Bag<T>, item: T): Bag<T> {
  if (bag === undefined) return item;
  if (bag instanceof Set) return bag.add(item);
  return new Set([...bagItems(bag), item]);
}

export function bagWithout<T extends object>(bag: Bag<T>, item: T): Bag<T> {
  if (!(bag instanceof Set)) return bag === item ? undefined : bag;
  bag.delete(item);
  return bag.size === 0 ? undefined : bag;
}

export function bagItems<T extends object>(bag: Bag<T>): Iterable<T> {
  if (bag === undefined) return [];
  return isMany(bag) ? bag : [bag];
}

export function bagSize<T extends object>(bag: Bag<T>): number {
  if (bag === undefined) return 0;
  return isMany(bag) ? bag.size : 1;
}

function isMany<T extends object>(bag: T | ReadonlySet<T>): bag is ReadonlySet<T> {
  return bag instanceof Set;
}
