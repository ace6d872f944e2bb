import { TrustplaneError } from '../../spiffe/errors.ts';

/** What an analysis may cost, in steps of about a microsecond. */
export class Budget {
  #left: number;

  constructor(steps: number) {
    this.#left = steps;
  }

  /** @throws TooComplex when nothing is left */
  spend(steps: number): void {
    this.#left -= steps;
    if (this.#left < 0) throw new TooComplex();
  }
}

/** Neither proven nor refuted; whoever asks decides what that means, and never takes it for a yes. */
export class TooComplex extends TrustplaneError {
  constructor() {
    super(
      'ERR_POLICY_TOO_COMPLEX',
      'the policies overlap in too many ways to tell; ask about fewer of them, or divide the service',
    );
  }
}
