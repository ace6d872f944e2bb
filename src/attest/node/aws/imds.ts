import { messageOf } from '../../../spiffe/index.ts';
import type { AskHttp } from '../cloud/ask-http.ts';
import { refused } from '../cloud/refused.ts';

/** The metadata service of an EC2 instance. */
export interface Imds {
  /** The text at a path below `/latest/`. @throws TrustplaneError ERR_NODE_ATTEST_CLOUD */
  read(path: string): Promise<string>;
}

const TOKEN_SECONDS = '60';
const MAX_TOKEN_BYTES = 1_024;
const MAX_BYTES = 65_536;
const TOKEN = /^[\x21-\x7e]+$/u;

/** IMDSv2 alone: each read begins with a session token. `endpoint`: `http://host[:port]`. */
export function createImds(ask: AskHttp, endpoint: string): Imds {
  const read = async (path: string, question: Parameters<AskHttp>[1], hint = '') => {
    try {
      const { status, body } = await ask(`${endpoint}/latest/${path}`, question);
      if (status === 200) return body.toString('utf8');
      throw new Error(`it answers with status ${status}`);
    } catch (error) {
      const message = `${endpoint}/latest/${path}: ${messageOf(error)}${hint}`;
      throw refused('ERR_NODE_ATTEST_CLOUD', message, error);
    }
  };
  return {
    async read(path) {
      const token = await read(
        'api/token',
        {
          method: 'PUT',
          headers: { 'X-aws-ec2-metadata-token-ttl-seconds': TOKEN_SECONDS },
          maxBytes: MAX_TOKEN_BYTES,
        },
        ' (in a container the hop limit of the metadata service has to be 2)',
      );
      if (!TOKEN.test(token)) {
        throw refused('ERR_NODE_ATTEST_CLOUD', `${endpoint} gives no session token`);
      }
      return await read(path, {
        headers: { 'X-aws-ec2-metadata-token': token },
        maxBytes: MAX_BYTES,
      });
    },
  };
}
