import type { OperationDocument, PolicyDocument, RuleDocument } from './policy-document.ts';

/** Of policies what an Envoy can decide alone; not of every rule all. */
export function plainly(documents: readonly PolicyDocument[]): readonly PolicyDocument[] {
  return documents.map(({ mode: _, request: __, rules, ...document }) => ({
    ...document,
    rules: rules.map(plainRule),
  }));
}

function plainRule({ map: _, when, allow, deny, ...rule }: RuleDocument): RuleDocument {
  const { time: __, ...conditions } = when ?? {};
  return {
    ...rule,
    ...(allow !== undefined && { allow: allow.map(plainOperation) }),
    ...(deny !== undefined && { deny: deny.map(plainOperation) }),
    ...(Object.keys(conditions).length > 0 && { when: conditions }),
  };
}

function plainOperation(operation: OperationDocument): OperationDocument {
  if (typeof operation === 'string') return operation;
  const { query: _, ...rest } = operation;
  return Object.keys(rest).length === 0 ? '/v1/**' : rest;
}
