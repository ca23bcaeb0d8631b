/**
 * The protocol of `tunesmith lsp` as far as this shell uses it. The Python dataclasses are its source.
 * Every result is an object; field names are in camelCase.
 */
import { NotificationType, RequestType } from 'vscode-jsonrpc';

/** The server refuses a client of another number. */
export const PROTOCOL_VERSION = 1;

/** Codes of a JSON-RPC error that we tell apart. */
export const ErrorCode = {
  invalidParams: -32602,
  internal: -32603,
  cancelled: -32800,
  refused: -32803,
} as const;

/** What every params object may carry beside its own fields. */
export interface Progressing {
  readonly workDoneToken?: string;
}

export interface ProjectParams extends Progressing {
  readonly project: string;
  readonly target?: string;
}

export interface HelloParams {
  readonly protocol: number;
  readonly client: string;
}

export interface Welcome {
  readonly protocol: number;
  readonly version: string;
  readonly methods: readonly string[];
}

export interface CreateParams extends Progressing {
  readonly folder: string;
  readonly model?: string;
  readonly dataset?: string;
  readonly values?: Readonly<Record<string, string>>;
}

export interface CreatedProject {
  readonly folder: string;
  readonly name: string;
  readonly model: string;
  readonly files: number;
}

export interface Problem {
  /** Relative to the project. */
  readonly file: string;
  /** From 1; 0 means the whole file. */
  readonly line: number;
  readonly column: number;
  readonly severity: 'error' | 'warning' | 'info';
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

export interface CheckParams extends ProjectParams {
  readonly dataset?: string;
}

export interface DatasetSummary {
  readonly file: string;
  readonly rows: number;
  readonly usableRows: number;
  readonly encoding: string;
  readonly tokens: number | null;
  readonly longestRowTokens: number | null;
}

export interface CheckReport {
  readonly datasets: readonly DatasetSummary[];
  readonly problems: readonly Problem[];
  readonly errors: number;
  readonly warnings: number;
}

/** `data` of an error with the code `refused`. */
export interface Refusal {
  readonly code: string;
  readonly hint: string;
  readonly fix: Fix | null;
  readonly context: Readonly<Record<string, unknown>>;
  readonly retryable: boolean;
}

export interface Fix {
  readonly title: string;
  /** An operation's name, such as "infra/apply". */
  readonly command: string;
  readonly args: Readonly<Record<string, unknown>>;
}

export interface LogLine {
  readonly seq: number;
  readonly text: string;
  readonly source: 'job' | 'system';
  readonly level: 'debug' | 'info' | 'warning' | 'error';
}

export interface LogLines {
  /** The workDoneToken of the request that the lines belong to. */
  readonly token: string | null;
  readonly lines: readonly LogLine[];
  /** How many lines were left out before these, because they came too fast. */
  readonly dropped: number;
}

export const Hello = new RequestType<HelloParams, Welcome, never>('tunesmith/hello');
export const ProjectCreate = new RequestType<CreateParams, CreatedProject, Refusal>(
  'tunesmith/project/create',
);
export const ProjectCheck = new RequestType<CheckParams, CheckReport, Refusal>(
  'tunesmith/project/check',
);
export const LogLinesNotification = new NotificationType<LogLines>('tunesmith/logLines');
