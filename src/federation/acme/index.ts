/** Certificates of Web PKI by ACME (RFC 8555, RFC 8737). Loaded where one is configured. */
export { keepAcmeCertificate } from './keep-acme-certificate.ts';
