import { describe, expect, it } from 'vitest';
import { parseXfcc } from './xfcc.ts';

const uris = (text: string) => parseXfcc(text).map((element) => element.uris);

describe('x-forwarded-client-cert', () => {
  it('is read as Envoy writes it (AUTHZ-5)', () => {
    const text =
      'By=spiffe://a.test/gw;Hash=00ff;Cert="-----BEGIN%20CERTIFICATE-----%0A";Subject="CN=\\"x\\", O=a,b;c";URI=spiffe://a.test/web;DNS=web.a.test,' +
      'By=spiffe://a.test/api;Hash=01;Subject="";URI=spiffe://a.test/gw;URI=https://a.test/?a=b';
    expect(parseXfcc(text)).toEqual([
      { uris: ['spiffe://a.test/web'], certificate: '-----BEGIN%20CERTIFICATE-----%0A' },
      { uris: ['spiffe://a.test/gw', 'https://a.test/?a=b'], certificate: undefined },
    ]);
  });

  it('has keys in any case, and elements with a space between', () => {
    expect(uris('uri=a, URI="b"')).toEqual([['a'], ['b']]);
    expect(uris('By=;Hash=;Subject="";URI=')).toEqual([['']]);
  });

  it.each([
    ['nothing', ''],
    ['an element of nothing', 'URI=a,'],
    ['an element of nothing before', ',URI=a'],
    ['a pair of nothing', 'URI=a;'],
    ['a key without a value', 'URI'],
    ['a value without a key', '=a'],
    ['what follows a quote', 'Subject="a"b;URI=a'],
    ['a quote that stays open', 'Subject="a,URI=b'],
    ['a quote inside', 'Subject=a"b"'],
    ['a backslash without quotes', 'URI=a\\,URI=b'],
    ['a quote that a backslash keeps open', 'Subject="a\\",URI=b'],
    ['a space', 'URI=a b'],
    ['two spaces between', 'URI=a,  URI=b'],
    ['what is not ASCII', 'URI=\u00e9'],
    ['a second certificate', 'Cert=a;Cert=b'],
    ['too many elements', Array.from({ length: 33 }, () => 'URI=a').join(',')],
    ['too many pairs', Array.from({ length: 33 }, () => 'URI=a').join(';')],
    ['too much', `URI=${'a'.repeat(65_536)}`],
  ])('is refused with %s', (_, text) => {
    expect(() => parseXfcc(text)).toThrow(expect.objectContaining({ code: 'ERR_XFCC' }));
  });

  it('lets nothing that was forged before swallow what comes last', () => {
    const honest = 'By=spiffe://a.test/gw;Hash=0;Subject="CN=web";URI=spiffe://a.test/web';
    const last = (text: string) => parseXfcc(text).at(-1)?.uris;
    expect(last(`URI=spiffe://a.test/root,${honest}`)).toEqual(['spiffe://a.test/web']);
    for (const forged of ['Subject="', 'URI=spiffe://a.test/root;Subject="', 'Subject="\\']) {
      expect(() => parseXfcc(`${forged},${honest}`)).toThrow('x-forwarded-client-cert');
    }
  });

  it('makes no SPIFFE ID of what is escaped', () => {
    const [element] = parseXfcc('Subject="CN=\\"a\\";URI=x";URI="spiffe://a.test/w\\eb"');
    expect(element?.uris).toEqual(['spiffe://a.test/w\\eb']);
  });
});
