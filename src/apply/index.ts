/** Documents of entries and relationships as they are to be, and what has to change until they are; pure, but for threads that read what is long. */
export { applyLimits } from './apply-limits.ts';
export type { DesiredEntry, DesiredRelationship } from './desired.ts';
export { digestPlan } from './digest-plan.ts';
export type { Documents } from './document-judge.ts';
export { applyJsonSchema } from './document-schema.ts';
export { parseDocuments } from './documents.ts';
export { entryOf } from './entry-faults.ts';
export { formatEntryDocument, formatRelationshipDocument } from './format-document.ts';
export {
  findImpact,
  type IdentityImpact,
  type Impact,
  type ReportedAgent,
  type Touched,
} from './impact.ts';
export {
  type EntryStep,
  type Plan,
  PlanBuilder,
  type PlanOptions,
  type PresentState,
  type RelationshipStep,
  type Step,
  stepsOf,
} from './plan.ts';
export { readAllDocuments } from './read-all-documents.ts';
export { parseSetName } from './set-name.ts';
export { parseSpireBundles } from './spire-bundles.ts';
export { parseSpireEntries } from './spire-entries.ts';
export { parseSpireRelationships } from './spire-relationships.ts';
export type { DocumentText } from './split-documents.ts';
