import { expect, it } from 'vitest';
import { signAwsCall } from './sign-request.ts';

const credentials = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
};
const call = {
  endpoint: 'https://example.amazonaws.com',
  service: 'service',
  region: 'us-east-1',
  parameters: [['Param1', 'value1']],
} as const;
const now = Date.UTC(2015, 7, 30, 12, 36, 0);

it('signs the form that AWS publishes the signature of', () => {
  const { headers, body } = signAwsCall(call, credentials, now);
  expect(body).toBe('Param1=value1');
  expect(headers['authorization']).toBe(
    'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, ' +
      'SignedHeaders=content-type;host;x-amz-date, ' +
      'Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a',
  );
});

it('signs the token of a role with the rest, and encodes what is reserved', () => {
  const { headers, body } = signAwsCall(
    { ...call, parameters: [["a'b", '1 +*é']] },
    { ...credentials, sessionToken: 'token' },
    now,
  );
  expect(body).toBe('a%27b=1%20%2B%2A%C3%A9');
  expect(headers).toMatchObject({
    'x-amz-security-token': 'token',
    authorization: expect.stringContaining('host;x-amz-date;x-amz-security-token'),
  });
});
