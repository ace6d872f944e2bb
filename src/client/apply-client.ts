import { TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { dialAdmin } from './admin-call.ts';
import {
  buildChange,
  buildOutcome,
  buildPlan,
  type WireAnswer,
  type WireOutcome,
  type WirePlan,
} from './apply-answers.ts';
import { requestsOf } from './apply-requests.ts';
import type { AppliedView, ChangeView, DocumentsToApply, ExportedDocuments } from './apply-view.ts';
import { buildDocuments, type WireDocuments } from './exported-documents.ts';

/** Documents are applied and exported, over the admin socket. Every call fails with a TrustplaneError. */
export interface ApplyClient {
  trustDomain(): Promise<TrustDomain>;
  apply(documents: DocumentsToApply): Promise<AppliedView>;
  /** By parts. An empty set: all; no kinds: all. */
  export(set: string, kinds: readonly string[]): AsyncIterable<ExportedDocuments>;
  close(): void;
}

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function createApplyClient(socket: string): ApplyClient {
  const { call, stream, converse, close } = dialAdmin(socket);
  const trustDomain = async (): Promise<TrustDomain> => {
    const { trust_domain = '' } = await call<{ trust_domain?: string }>('Admin', 'GetStatus', {});
    return TrustDomain.parse(trust_domain);
  };
  return {
    trustDomain,
    async apply(documents) {
      const answers = converse<WireAnswer>('Apply', 'Apply', requestsOf(documents));
      let plan: WirePlan | undefined;
      let outcome: WireOutcome | undefined;
      const changes: ChangeView[] = [];
      for await (const answer of answers) {
        if (answer.plan) plan = answer.plan;
        for (const change of answer.changes?.changes ?? []) changes.push(buildChange(change));
        if (answer.outcome) outcome = answer.outcome;
      }
      if (plan === undefined) throw new TrustplaneError('ERR_REMOTE', 'the server sent no plan');
      return {
        plan: { ...buildPlan(plan), changes },
        outcome: outcome && buildOutcome(outcome, changes),
      };
    },
    async *export(set, kinds) {
      const own = await trustDomain();
      for await (const part of stream<WireDocuments>('Apply', 'Export', { set, kinds }))
        yield buildDocuments(part, own);
    },
    close,
  };
}
