/** Why a process, an Envoy or a SPIFFE ID has an identity, or has none: from what is known to ranked causes and next steps; pure. */
export { type Explanation, explain, explainUnknown, type Verdict } from './explain.ts';
export { explainSerial } from './explain-serial.ts';
export type { Finding } from './finding.ts';
export { type FindingCode, findingCodes } from './finding-codes.ts';
export { type NearEntry, NearestEntries, toEntryFacts } from './nearest-entries.ts';
export { type ChainGoal, findParentChain } from './parent-chain.ts';
export type {
  AgentStanding,
  EntryFacts,
  KnownEntry,
  ParentChain,
  ProcessFacts,
  Question,
  RevocationFacts,
  ServerWord,
  Situation,
  SuspensionFacts,
  SvidStanding,
} from './situation.ts';
export type { Fact } from './situation-facts.ts';
