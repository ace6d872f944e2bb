/** An entry that this user's processes match. */
export function workloadEntry(path: string, parentPath: string): object {
  return {
    spiffe_id: { trust_domain: 'example.org', path },
    parent_id: { trust_domain: 'example.org', path: parentPath },
    selectors: [{ type: 'unix', value: `uid:${process.getuid?.() ?? 0}` }],
  };
}
