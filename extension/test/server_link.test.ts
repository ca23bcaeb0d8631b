import assert from 'node:assert/strict';
import { appendFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { CancellationTokenSource, RequestType, ResponseError } from 'vscode-jsonrpc/node.js';

import { failureOf, ServerGoneError } from '../src/failure.js';
import { ErrorCode, Hello, ProjectCheck, ProjectCreate } from '../src/protocol.js';
import { ServerLink, type WorkProgress } from '../src/server_link.js';
import { newFolder, serverCommand, startServer } from './real_server.js';

test('a server is greeted, answers and ends with zero', async () => {
  const { link, welcome } = await ServerLink.start(await serverCommand(), 'test');
  assert.equal(welcome.protocol, 1);
  assert.ok(welcome.methods.includes('tunesmith/run/start'));
  const end = await link.stop();
  assert.equal(end.exitCode, 0);
  assert.doesNotMatch(end.stderrTail, /Traceback/);
});

test('a refusal arrives with its code, its hint and nothing of the server inside', async () => {
  const link = await startServer();
  try {
    const folder = await newFolder();
    const error = await link.request(ProjectCheck, { project: folder }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof ResponseError);
    assert.equal(error.code, ErrorCode.refused);
    const failure = failureOf(error);
    assert.equal(failure.kind, 'refused');
    assert.equal(failure.code, 'project.notFound');
    assert.match(failure.hint, /tunesmith project create/);
  } finally {
    await link.stop();
  }
});

test('an old client is refused by hello', async () => {
  const link = await startServer();
  try {
    await assert.rejects(link.request(Hello, { protocol: 99, client: 'old' }), (error) => {
      return failureOf(error).code === 'protocol.mismatch';
    });
  } finally {
    await link.stop();
  }
});

test('a project is made and its data checked, with progress on a token of its own', async () => {
  const link = await startServer();
  try {
    const folder = path.join(await newFolder(), 'project');
    const made = await link.request(ProjectCreate, { folder });
    assert.ok(made.files > 10);
    const rows = path.join(folder, 'dataset/train.jsonl');
    await appendFile(rows, '{"messages": [}\n');
    const heard: WorkProgress[] = [];
    const report = await link.requestWithProgress(ProjectCheck, { project: folder }, (progress) => {
      heard.push(progress);
    });
    assert.equal(report.errors, 1);
    const problem = report.problems.find((found) => found.severity === 'error');
    assert.deepEqual([problem?.code, problem?.line], ['dataset.invalidJson', 201]);
    assert.equal(heard[0]?.kind, 'begin');
    assert.equal(heard.at(-1)?.kind, 'end');
  } finally {
    await link.stop();
  }
});

test('a cancelled request is answered within two seconds and the server goes on', async () => {
  const link = await startServer();
  try {
    const folder = path.join(await newFolder(), 'project');
    await link.request(ProjectCreate, { folder });
    const many = `${JSON.stringify({ messages: [{ role: 'user', content: 'a' }] })}\n`.repeat(600_000);
    await writeFile(path.join(folder, 'dataset/train.jsonl'), many);
    const source = new CancellationTokenSource();
    const started = Date.now();
    let cancelledAt = 0;
    const checking = link.requestWithProgress(
      ProjectCheck,
      { project: folder },
      (progress) => {
        if (progress.kind === 'begin') {
          cancelledAt = Date.now();
          source.cancel();
        }
      },
      source.token,
    );
    await assert.rejects(checking, (error) => failureOf(error).kind === 'cancelled');
    assert.ok(cancelledAt >= started);
    assert.ok(Date.now() - cancelledAt < 2000);
    await link.request(Hello, { protocol: 1, client: 'test' });
  } finally {
    await link.stop();
  }
});

test('a request in flight is rejected when the server is killed, and later ones at once', async () => {
  const link = await startServer();
  const never = new RequestType<object, object, never>('tunesmith/project/check');
  const folder = path.join(await newFolder(), 'project');
  await link.request(ProjectCreate, { folder });
  const waiting = link.request(never, { project: folder });
  assert.ok(link.pid !== undefined);
  process.kill(link.pid, 'SIGKILL');
  await assert.rejects(waiting, ServerGoneError);
  assert.equal((await link.ended).exitCode, null);
  await assert.rejects(link.request(Hello, { protocol: 1, client: 'test' }), ServerGoneError);
  assert.equal((await link.stop()).exitCode, null);
});

test('a program that is no server is told with the end of what it said', async () => {
  const command = { ...(await serverCommand()), args: ['-c', 'raise SystemExit("no tunesmith here")'] };
  await assert.rejects(ServerLink.start(command, 'test'), (error) => {
    assert.ok(error instanceof ServerGoneError);
    assert.equal(error.exitCode, 1);
    return error.stderrTail.includes('no tunesmith here');
  });
});

test('a program that does not exist is an error of the system', async () => {
  await assert.rejects(ServerLink.start({ program: '/nonexistent/python', args: [] }, 'test'), /ENOENT/);
});
