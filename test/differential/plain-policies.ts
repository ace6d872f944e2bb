import type { OperationDocument, PolicyDocument, RuleDocument } from './policy-document.ts';

/** Of policies what an Envoy can decide alone; not of every rule all. `keepsDenies`: denies and stages as they are. */
export function plainly(
  documents: readonly PolicyDocument[],
  keepsDenies: boolean = false,
): readonly PolicyDocument[] {
  return documents.map(({ metadata, service, mode, sets, rules }) => ({
    metadata,
    service,
    ...(keepsDenies && mode !== undefined && { mode }),
    ...(sets !== undefined && { sets }),
    rules: rules.map((rule) => (keepsDenies && rule.deny !== undefined ? rule : plainRule(rule))),
  }));
}

function plainRule({ id, from, when, allow, deny }: RuleDocument): RuleDocument {
  return {
    id,
    from,
    ...(allow !== undefined && { allow: allow.map(plainOperation) }),
    ...(deny !== undefined && { deny: deny.map(plainOperation) }),
    ...(when !== undefined && when.time === undefined && { when }),
  };
}

function plainOperation(operation: OperationDocument): OperationDocument {
  return typeof operation === 'string' || operation.query === undefined ? operation : '/v1/**';
}
