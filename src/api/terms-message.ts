import {
  type FederationRelationship,
  parseAccept,
  parsePublisherId,
  parseWebCa,
} from '../federation/index.ts';
import { type TrustDomain, TrustplaneError } from '../spiffe/index.ts';

/** trustplane.admin.v1.Terms */
export interface WireTerms {
  readonly accept?: readonly string[];
  readonly publisher_id?: string;
  readonly await_ack?: boolean;
  readonly web_ca?: string;
}

/** trustplane.admin.v1.TermsMask */
export type TermsMask = { readonly [Field in keyof WireTerms]?: boolean };

type Terms = Pick<FederationRelationship, 'accept' | 'publisherId' | 'awaitAck' | 'webCa'>;

const allTerms: TermsMask = { accept: true, publisher_id: true, await_ack: true, web_ca: true };

/** Those of the mask. @throws TrustplaneError ERR_RELATIONSHIP, ERR_ID_SCOPE */
export function parseTerms(
  { accept = [], publisher_id = '', await_ack = false, web_ca = '' }: WireTerms,
  trustDomain: TrustDomain,
  mask: TermsMask = allTerms,
): Partial<Terms> {
  return {
    ...(mask.accept === true && { accept: parseAccept(accept, trustDomain) }),
    ...(mask.publisher_id === true && {
      publisherId: publisher_id === '' ? undefined : parsePublisherId(publisher_id),
    }),
    ...(mask.await_ack === true && { awaitAck: await_ack }),
    ...(mask.web_ca === true && { webCa: web_ca === '' ? undefined : parseWebCa(web_ca) }),
  };
}

export function buildTerms({ accept, publisherId, awaitAck, webCa }: Terms): WireTerms {
  return {
    accept: accept.map(String),
    publisher_id: publisherId?.toString() ?? '',
    await_ack: awaitAck,
    web_ca: webCa ?? '',
  };
}

/** @throws TrustplaneError ERR_RELATIONSHIP for an authority of Web PKI where none is asked */
export function checkWebCa({
  profile,
  webCa,
}: Pick<FederationRelationship, 'profile' | 'webCa'>): void {
  if (webCa === undefined || profile.type === 'https_web') return;
  throw new TrustplaneError('ERR_RELATIONSHIP', 'a private web CA says nothing with https_spiffe');
}
