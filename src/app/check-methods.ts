import {
  type BytesMethod,
  type BytesService,
  type BytesTransport,
  createHealth,
  createQuickHealth,
  createReflection,
  HEALTH_CHECK,
} from '../wire/index.ts';

const SERVICE = 'envoy.service.auth.v3.Authorization';
export const CHECK: string = `/${SERVICE}/Check`;
const FILES = ['envoy/service/auth/v3/external_auth.proto', 'grpc/health/v1/health.proto'];
/** Envoy's headers have 60 KiB unless it is told otherwise, a certificate some 2. */
const MAX_REQUEST_BYTES = 1_048_576;

/** Checks over a transport, with gRPC's health beside them, and reflection where there is grpc-js. */
export class CheckMethods implements BytesService {
  readonly transport: BytesTransport;
  readonly methods: BytesService['methods'];
  readonly services: NonNullable<BytesService['services']>;
  readonly maxRequestBytes: number = MAX_REQUEST_BYTES;
  readonly #setServing: () => void;
  #isServing = false;

  constructor(transport: BytesTransport, check: BytesMethod) {
    this.transport = transport;
    const methods = new Map([[CHECK, check]]);
    this.methods = methods;
    if (transport === 'quick') {
      methods.set(
        HEALTH_CHECK,
        createQuickHealth(SERVICE, () => this.#isServing),
      );
      this.services = [];
      this.#setServing = () => {};
      return;
    }
    const health = createHealth([SERVICE]);
    this.services = [health.service, ...createReflection(FILES)];
    this.#setServing = () => health.setAll(this.#isServing ? 'SERVING' : 'NOT_SERVING');
  }

  /** What health answers from now on; at first it does not serve. */
  setServing(isServing: boolean): void {
    this.#isServing = isServing;
    this.#setServing();
  }
}
