/** The first values of an iterable, at most `count`. */
export function* take<T>(values: Iterable<T>, count: number): Generator<T, void> {
  let left = count;
  if (left === 0) return;
  for (const value of values) {
    yield value;
    left -= 1;
    if (left === 0) return;
  }
}
