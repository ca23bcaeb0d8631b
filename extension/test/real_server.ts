/** The real server from this repository, with a state folder of its own. */
import { existsSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { type ServerCommand, ServerLink } from '../src/server_link.js';

const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');

/** TUNESMITH_PYTHON, else the repository's virtual environment, else python3. */
export function pythonProgram(): string {
  const local = path.join(repository, '.venv/bin/python');
  return process.env['TUNESMITH_PYTHON'] ?? (existsSync(local) ? local : 'python3');
}

const folders: string[] = [];
process.on('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A new empty folder that is gone when the tests have ended. */
export async function newFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'tunesmith-test-'));
  folders.push(folder);
  return folder;
}

export async function serverCommand(): Promise<ServerCommand> {
  return {
    program: pythonProgram(),
    args: ['-m', 'tunesmith', 'lsp'],
    env: { TUNESMITH_HOME: await newFolder(), PYTHONPATH: path.join(repository, 'server') },
  };
}

export async function startServer(): Promise<ServerLink> {
  const { link } = await ServerLink.start(await serverCommand(), 'test');
  return link;
}
