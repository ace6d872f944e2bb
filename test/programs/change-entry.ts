import type { AdminClient } from '../../src/client/index.ts';

/** What is to become of an entry of a load. */
interface EntryChange {
  readonly id: string;
  /** Path of the SPIFFE ID in example.org. */
  readonly parent: string;
  readonly exists: boolean;
  /** Undefined: it is deleted. */
  readonly hint: string | undefined;
}

/** Creates, changes or deletes an entry that matches no process. */
export async function changeEntry(client: AdminClient, change: EntryChange): Promise<void> {
  const { id, parent, exists, hint } = change;
  if (hint === undefined) return await client.deleteEntries([id]);
  if (exists) return void (await client.updateEntry({ id, hint }));
  await client.createEntry({
    id,
    hint,
    spiffe_id: { trust_domain: 'example.org', path: `/${id}` },
    parent_id: { trust_domain: 'example.org', path: parent },
    selectors: [{ type: 'unix', value: 'path:/nowhere' }],
  });
}
