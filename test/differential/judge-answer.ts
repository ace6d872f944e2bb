import type { Verdict } from './evaluate.ts';
import type { Asked } from './random-questions.ts';
import type { RawAnswer } from './raw-client.ts';
import { meaningOf } from './run-differential.ts';

/** What Envoy makes of a status. */
const grpcStatuses: Readonly<Record<number, number>> = { 401: 16, 403: 7, 429: 14, 503: 14 };

/** A denied gRPC call is answered with 200 and a status of gRPC. */
export function isRightAnswer(
  { status, headers, body }: RawAnswer,
  expected: Verdict,
  asked: Asked,
): boolean {
  const { reason, told } = expected;
  if (reason === 'allowed_by_rule') return status === 200 && !headers.has('grpc-status');
  const grpcStatus = headers.get('grpc-status');
  if (grpcStatus === undefined) return status === told.status && (body !== '') === told.hasBody;
  const isAsked = asked.http?.lines.some(
    ([name, value]) => /^content-type$/iu.test(name) && value.startsWith('application/grpc'),
  );
  const isTold = headers.has('grpc-message') === told.hasBody;
  return isAsked === true && isTold && grpcStatus === String(grpcStatuses[told.status]);
}

/** What the application saw of the headers that are the policies' own, in whatever spelling. */
export function reachedBy({ body }: RawAnswer, { owned }: Verdict): string {
  const raw: readonly string[] = JSON.parse(body);
  const names = new Set(owned.keys());
  return raw
    .flatMap((name, at) => {
      const spelled = name.toLowerCase();
      const isOwn = at % 2 === 0 && names.has(spelled.replaceAll('_', '-'));
      return isOwn ? [`${spelled}: ${meaningOf(raw[at + 1] ?? '')}`] : [];
    })
    .toSorted()
    .join('\n');
}

/** What it has to see of them. */
export function reachedAs({ owned }: Verdict): string {
  return [...owned]
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]))
    .toSorted()
    .join('\n');
}
