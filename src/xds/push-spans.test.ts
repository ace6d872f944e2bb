import { expect, it } from 'vitest';
import { PushSpans } from './push-spans.ts';

function opened() {
  const ended: string[] = [];
  const tracing = {
    follow: (name: string, subject: string, fields: object) =>
      subject === 'untraced'
        ? undefined
        : {
            traceparent: '',
            end: (fault?: string) => ended.push(`${name} ${JSON.stringify(fields)} ${fault}`),
          },
  };
  const spans = new PushSpans(tracing, {
    node: { id: 'envoy-1', version: undefined, metadata: () => undefined },
  });
  const ref = (name: string, version: string, subject?: string) => ({
    name,
    version,
    subject,
    kind: 'tls_certificate',
    isReducible: false,
  });
  return { ended, spans, ref };
}

const said = (version: string, outcome: string): string =>
  `xds.push {"resource":"web","version":"${version}","node":"envoy-1"} ${outcome}`;

it('ends when the client takes or refuses what it was sent', () => {
  const { ended, spans, ref } = opened();
  spans.begin([ref('web', 'v1', 'e1'), ref('ROOTCA', 'v1'), ref('old', 'v1', 'untraced')]);
  spans.settle([ref('web', 'v0'), ref('ROOTCA', 'v1')], undefined);
  expect(ended).toEqual([]);
  spans.settle([ref('web', 'v1')], undefined);
  spans.begin([ref('web', 'v2', 'e1')]);
  spans.settle([ref('web', 'v2')], 'no such key');
  expect(ended).toEqual([said('v1', 'undefined'), said('v2', 'no such key')]);
});

it('ends with the next version, the stream, or when there are too many', () => {
  const { ended, spans, ref } = opened();
  spans.begin([ref('web', 'v1', 'e1')]);
  spans.begin([ref('web', 'v2', 'e1')]);
  expect(ended).toEqual([said('v1', 'another version was sent')]);
  spans.begin(Array.from({ length: 64 }, (_, at) => ref(`n${at}`, 'v1', 'e1')));
  expect(ended.at(-1)).toBe(said('v2', 'given up'));
  spans.close();
  expect(ended).toHaveLength(66);
});
