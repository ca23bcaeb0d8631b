/**
 * The link to `tunesmith lsp`: starts the process, sends typed requests, tells when it has ended.
 * It knows nothing of VS Code.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';

import {
  type CancellationToken,
  CancellationTokenSource,
  ConnectionError,
  createMessageConnection,
  type Disposable,
  ErrorCodes,
  type MessageConnection,
  type NotificationType,
  ProgressType,
  type RequestType,
  ResponseError,
  StreamMessageReader,
  StreamMessageWriter,
} from 'vscode-jsonrpc/node.js';

import { ServerGoneError } from './failure.js';
import { Hello, PROTOCOL_VERSION, type Welcome } from './protocol.js';

/** How to start the server. */
export interface ServerCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A value of `$/progress` on the client's own token. */
export interface WorkProgress {
  readonly kind: 'begin' | 'report' | 'end';
  readonly title?: string;
  readonly message?: string;
  readonly percentage?: number;
}

/** How the process ended. */
export interface ServerEnd {
  readonly exitCode: number | null;
  readonly stderrTail: string;
}

const STDERR_TAIL_CHARS = 4000;
const SHUTDOWN_GRACE_MS = 5000;
const workProgress = new ProgressType<WorkProgress>();

/** One running server. Made by `ServerLink.start`; useless once `ended` has resolved. */
export class ServerLink {
  private nextToken = 0;
  private stderrTail = '';
  private gone: ServerGoneError | undefined;
  /** Resolves when the process has ended, whoever ended it. Never rejects. */
  readonly ended: Promise<ServerEnd>;

  private constructor(
    private readonly process: ChildProcessWithoutNullStreams,
    private readonly connection: MessageConnection,
    private readonly onLine: (line: string) => void,
  ) {
    process.stderr.setEncoding('utf8');
    process.stderr.on('data', (text: string) => {
      this.stderrTail = (this.stderrTail + text).slice(-STDERR_TAIL_CHARS);
      this.onLine(text);
    });
    this.ended = new Promise((resolve) => {
      process.once('close', (exitCode) => {
        this.gone = new ServerGoneError(exitCode, this.stderrTail);
        resolve({ exitCode, stderrTail: this.stderrTail });
        connection.dispose();
      });
    });
  }

  /**
   * Start a server and greet it. Rejects with the server's own refusal when its protocol is another,
   * with ServerGoneError when it ends at once, and with the system's error when there is no such program.
   */
  static async start(
    command: ServerCommand,
    clientName: string,
    onServerLog: (text: string) => void = () => undefined,
  ): Promise<{ link: ServerLink; welcome: Welcome }> {
    const child = spawn(command.program, [...command.args], {
      stdio: 'pipe',
      env: { ...process.env, ...command.env },
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    const connection = createMessageConnection(
      new StreamMessageReader(child.stdout),
      new StreamMessageWriter(child.stdin),
    );
    // A write into the pipe of a dead process is told by `ended`, not by an unhandled error.
    child.stdin.on('error', () => undefined);
    connection.onError(() => undefined);
    const link = new ServerLink(child, connection, onServerLog);
    connection.listen();
    await link.untilGone(
      connection.sendRequest('initialize', {
        processId: process.pid,
        clientInfo: { name: clientName },
        rootUri: null,
        capabilities: {},
      }),
    );
    await connection.sendNotification('initialized', {});
    const welcome = await link.request(Hello, { protocol: PROTOCOL_VERSION, client: clientName });
    return { link, welcome };
  }

  get pid(): number | undefined {
    return this.process.pid;
  }

  /**
   * Send a request. Rejects with ResponseError for what the server refuses, with ServerGoneError when it
   * ends first. A cancelled `token` asks the server to stop waiting and rejects as the server answers.
   */
  async request<P, R, E>(type: RequestType<P, R, E>, params: P, token?: CancellationToken): Promise<R> {
    if (this.gone !== undefined) {
      throw this.gone;
    }
    return this.untilGone(this.connection.sendRequest(type, params, token));
  }

  /** Send a request with a progress token of its own, and hear its progress. */
  async requestWithProgress<P extends object, R, E>(
    type: RequestType<P, R, E>,
    params: P,
    onProgress: (progress: WorkProgress, workDoneToken: string) => void,
    token: CancellationToken = new CancellationTokenSource().token,
  ): Promise<R> {
    this.nextToken += 1;
    const workDoneToken = `work-${this.nextToken}`;
    const listening = this.connection.onProgress(workProgress, workDoneToken, (progress) => {
      onProgress(progress, workDoneToken);
    });
    try {
      return await this.request(type, { ...params, workDoneToken }, token);
    } finally {
      listening.dispose();
    }
  }

  onNotification<P>(type: NotificationType<P>, handler: (params: P) => void): Disposable {
    return this.connection.onNotification(type, handler);
  }

  /** End the server as the protocol asks; by force when it does not follow. Ends no run. */
  async stop(): Promise<ServerEnd> {
    if (this.gone === undefined) {
      const force = setTimeout(() => this.process.kill('SIGKILL'), SHUTDOWN_GRACE_MS);
      try {
        await this.untilGone(this.connection.sendRequest('shutdown'));
        await this.connection.sendNotification('exit');
      } catch {
        // It is gone or going; `ended` says how.
      }
      await this.ended;
      clearTimeout(force);
    }
    return this.ended;
  }

  /** Wait for an answer; what a dying connection says instead becomes the one error for it. */
  private async untilGone<R>(answer: Promise<R>): Promise<R> {
    try {
      return await answer;
    } catch (error) {
      if (!isConnectionLoss(error)) {
        throw error;
      }
      await this.ended;
      throw this.gone ?? new ServerGoneError(null, this.stderrTail);
    }
  }
}

function isConnectionLoss(error: unknown): boolean {
  if (error instanceof ResponseError) {
    return (
      error.code === ErrorCodes.PendingResponseRejected || error.code === ErrorCodes.MessageWriteError
    );
  }
  return error instanceof ConnectionError;
}
