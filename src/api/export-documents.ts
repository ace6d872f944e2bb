import type { ServerWritableStream } from '@grpc/grpc-js';
import { buildEntryDocument, buildRelationshipDocument } from './apply-messages.ts';
import type { ApplyServiceOptions, WireDocuments } from './apply-request.ts';
import { chunksOf } from './chunks-of.ts';
import { writePaced } from './write-paced.ts';

/** Entries in one message. */
const CHUNK = 500;

type ExportCall = ServerWritableStream<
  { readonly set?: string; readonly kinds?: readonly string[] },
  WireDocuments
>;

/** Sends all that stands, or what of it is asked for. */
export async function exportAll(options: ApplyServiceOptions, call: ExportCall): Promise<void> {
  const { set = '', kinds = [] } = call.request;
  const isMeant = ({ managedBy }: { readonly managedBy?: string | undefined }): boolean =>
    set === '' || managedBy === set;
  const isAsked = (kind: string): boolean => kinds.length === 0 || kinds.includes(kind);
  const { entries, relationships } = options;
  await entries.catchUpNow();
  const all = isAsked('RegistrationEntry') ? [...entries.all()].filter(isMeant) : [];
  for (const some of chunksOf(all, CHUNK)) {
    if (call.cancelled) return;
    await writePaced(call, { entries: some.map(buildEntryDocument) });
  }
  // What the configuration keeps is written there.
  const own = relationships.all().filter((one) => isMeant(one) && one.source === 'api');
  if (isAsked('FederationRelationship'))
    for (const some of chunksOf(own, CHUNK))
      await writePaced(call, { relationships: some.map(buildRelationshipDocument) });
  call.end();
}
