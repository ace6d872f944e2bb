import {
  createFactsService,
  FactsFeed,
  type FactsReport,
  type FactsSource,
} from '../facts/index.ts';
import type { Config } from './config.ts';
import { type HostFacts, joinFacts } from './host-facts.ts';
import type { Process } from './process.ts';
import type { ServedService } from './served-service.ts';

/** What this process tells others of what it knows. */
export interface OpenFacts {
  /** For whoever judges in this thread. */
  readonly source: FactsSource;
  /** For whoever in this process judges requests on a thread of its own; policies are not in it. */
  readonly feed: FactsFeed;
  /** For the other programs of this host. */
  readonly service: ServedService;
}

/** Closed with `process`. `onReports` is told what the programs that read have in force. */
export function openFacts(
  { factsReaders }: Pick<Config, 'factsReaders'>,
  { clock, closing, log, metrics, uid }: Process,
  sources: HostFacts,
  onReports: (reports: readonly FactsReport[]) => void,
): OpenFacts {
  const source = joinFacts(sources);
  const feed = new FactsFeed({ source, tellsPolicies: false, clock });
  closing.defer(() => feed.close());
  const told = new FactsFeed({ source, clock });
  closing.defer(() => told.close());
  const { uids, gids } = factsReaders;
  const readers = { uids: [uid, ...uids], gids };
  const service = createFactsService({ feed: told, readers, onReports, log, metrics });
  return { source, feed, service: { service, file: 'trustplane/agent/v1/facts.proto' } };
}
