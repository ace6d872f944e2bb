import type { CheckRecord } from './check-handler.ts';
import {
  type CheckRequest,
  type HttpAttributes,
  isSameName,
  POLICY_EXTENSION,
} from './check-request.ts';
import type { JsonBytes } from './json-bytes.ts';

const COLON = 0x3a;
/** What a line holds at most; what is beyond is cut off, and the line says so. */
const limits = { text: 1_024, name: 128, names: 64, values: 4 } as const;

/**
 * Writes decisions as JSON lines (docs/reference/decision-log.md): names of queries and headers, values
 * only of the headers that are listed, never a body.
 */
export class DecisionLines {
  readonly #out: JsonBytes;
  readonly #listed: readonly string[];
  #second = Number.NaN;
  #secondText = '';
  #isCut = false;

  /** `headers`: in lower case. */
  constructor(out: JsonBytes, headers: readonly string[]) {
    this.#out = out;
    this.#listed = headers;
  }

  write(record: CheckRecord): void {
    this.#isCut = false;
    this.#out.raw('{"time":"');
    this.#instant(record.at);
    this.#out.raw('"');
    this.#field(',"id":', record.id);
    this.#decision(record.decision);
    this.#caller(record);
    if (record.request !== undefined) this.#request(record.request);
    this.#out.raw(`,"latencyMicros":${Math.round(record.latencyMicros * 10) / 10}`);
    this.#out.raw(this.#isCut ? ',"cut":true}\n' : '}\n');
  }

  #decision(decision: CheckRecord['decision']): void {
    const { isAllowed, reason, policy, ruleId, policyDigest, observed, shadow } = decision;
    this.#out.raw(isAllowed ? ',"allowed":true,"reason":"' : ',"allowed":false,"reason":"');
    this.#out.raw(reason);
    this.#out.raw('"');
    this.#field(',"policy":', policy);
    this.#field(',"rule":', ruleId);
    this.#field(',"policyDigest":', policyDigest === '' ? undefined : policyDigest);
    if (observed.length > 0) this.#list(',"observed":', observed, limits.names, limits.text);
    if (shadow === undefined) return;
    this.#out.raw(`,"shadow":{"allowed":${shadow.isAllowed}`);
    this.#field(',"rule":', shadow.ruleId);
    this.#out.raw('}');
  }

  #caller({ caller, credential, tokenCaller, proxy, request }: CheckRecord): void {
    if (typeof caller === 'object') {
      this.#field(',"caller":', caller.toString());
      this.#field(',"credential":', credential ?? 'x509-svid');
    } else {
      // What the proxy took from a certificate that is not believed.
      this.#field(',"claimed":', request?.source.principal);
    }
    this.#field(',"tokenCaller":', tokenCaller?.toString());
    this.#field(',"proxy":', proxy?.toString());
  }

  #request({ source, destination, http, contextExtensions }: CheckRequest): void {
    this.#field(',"source":', source.ip);
    if (source.port !== undefined) this.#out.raw(`,"sourcePort":${source.port}`);
    this.#field(',"service":', destination.principal);
    this.#field(',"contextExtension":', contextExtensions.get(POLICY_EXTENSION));
    this.#field(',"destination":', destination.ip);
    if (destination.port !== undefined) this.#out.raw(`,"port":${destination.port}`);
    if (http !== undefined) this.#http(http);
  }

  #http(http: HttpAttributes): void {
    const { target } = http;
    const at = target.indexOf('?');
    this.#field(',"method":', http.method);
    this.#field(',"host":', http.host);
    this.#field(',"path":', at === -1 ? target : target.slice(0, at));
    if (at !== -1) this.#query(target.slice(at + 1));
    this.#shownHeaders(http);
    this.#maskedHeaders(http);
  }

  /** Names as they were sent. */
  #query(query: string): void {
    const names = query.split('&').map((pair) => pair.split('=', 1)[0] ?? '');
    this.#list(',"query":', names, limits.names, limits.name);
  }

  #shownHeaders(http: HttpAttributes): void {
    let before = ',"headers":{';
    for (const name of this.#listed) {
      const values = http.lines(name);
      if (values.length === 0) continue;
      this.#out.raw(before);
      this.#out.text(name);
      this.#list(':', values, limits.values, limits.text);
      before = ',';
    }
    if (before === ',') this.#out.raw('}');
  }

  /** Each line's name: one that is repeated is there as often. */
  #maskedHeaders(http: HttpAttributes): void {
    let count = 0;
    http.visitNames((bytes, from, to) => {
      if (bytes[from] === COLON || this.#listed.some((name) => isSameName(bytes, from, to, name)))
        return;
      if (count++ >= limits.names) return;
      this.#out.raw(count === 1 ? ',"masked":[' : ',');
      if (to - from > limits.name) this.#isCut = true;
      this.#out.name(bytes, from, Math.min(to, from + limits.name));
    });
    if (count > limits.names) this.#isCut = true;
    if (count > 0) this.#out.raw(']');
  }

  #field(label: string, text: string | undefined): void {
    if (text === undefined) return;
    this.#out.raw(label);
    this.#text(text, limits.text);
  }

  #list(label: string, texts: readonly string[], most: number, length: number): void {
    this.#out.raw(label);
    let before = '[';
    for (const text of texts.slice(0, most)) {
      this.#out.raw(before);
      this.#text(text, length);
      before = ',';
    }
    if (texts.length > most) this.#isCut = true;
    this.#out.raw(']');
  }

  #text(text: string, length: number): void {
    if (text.length > length) this.#isCut = true;
    this.#out.text(text, length);
  }

  /** RFC 3339; a date is formatted once a second. */
  #instant(at: number): void {
    const second = Math.floor(at / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#secondText = new Date(second * 1_000).toISOString().slice(0, -4);
    }
    this.#out.raw(this.#secondText);
    this.#out.raw(`${Math.floor(at - second * 1_000) + 1_000}`.slice(1));
    this.#out.raw('Z');
  }
}
