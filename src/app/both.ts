/** Awaits two things at once. When one fails the other is still awaited, so that it can be closed; then it rejects. */
export async function both<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([a, b]);
  return Promise.all([a, b]);
}
