/** Errors of the server as this shell shows them. */
import { ResponseError } from 'vscode-jsonrpc';

import { ErrorCode, type Fix, type Refusal } from './protocol.js';

/** What is shown: a sentence, a next step, perhaps a button. */
export interface Failure {
  readonly kind: 'refused' | 'cancelled' | 'bug' | 'serverGone';
  /** Such as "project.notFound"; empty when the server gave none. */
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly fix: Fix | null;
}

/** Thrown for requests whose server has ended before it answered. */
export class ServerGoneError extends Error {
  override readonly name = 'ServerGoneError';

  constructor(
    /** null when it was ended by a signal. */
    readonly exitCode: number | null,
    /** The end of what it wrote to stderr. */
    readonly stderrTail: string,
  ) {
    super('The Tunesmith server has ended; runs go on without it.');
  }
}

/** Say what an error means to the user. */
export function failureOf(error: unknown): Failure {
  if (error instanceof ServerGoneError) {
    return { kind: 'serverGone', code: 'server.gone', message: error.message, hint: error.stderrTail, fix: null };
  }
  if (error instanceof ResponseError) {
    const data = isRefusal(error.data) ? error.data : undefined;
    const kind =
      error.code === ErrorCode.cancelled ? 'cancelled' : error.code === ErrorCode.refused ? 'refused' : 'bug';
    return {
      kind,
      code: data?.code ?? '',
      message: error.message,
      hint: data?.hint ?? '',
      fix: data?.fix ?? null,
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { kind: 'bug', code: '', message, hint: '', fix: null };
}

function isRefusal(data: unknown): data is Partial<Refusal> {
  return typeof data === 'object' && data !== null && 'code' in data;
}
