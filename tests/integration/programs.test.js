// ctest: timeout=900
// programs.test.js - satcheld as its users meet it: help, exit codes, --json, one server per directory,
// what verify finds, backup and restore by hand.
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const lib = require('./lib.js');

const commands = ['init', 'run', 'branch', 'user', 'team', 'enroll', 'devices', 'revoke', 'status', 'backup',
  'restore', 'verify', 'sql'];

test.after(lib.cleanUp);

test('help names every command, and each command has its own', async () => {
  const help = await lib.run('satcheld', ['--help']);
  assert.equal(help.code, 0);
  for (const command of commands) {
    assert.match(help.out, new RegExp(`^  ${command} `, 'm'));
    const own = await lib.run('satcheld', [command, '--help']);
    assert.equal(own.code, 0, command);
    assert.match(own.out, new RegExp(`^usage: satcheld ${command}`));
    assert.match(own.out, /--data DIR/);
  }
});

test('wrong usage is exit code 2 and says what was meant', async () => {
  const cases = [[[], /usage:/], [['verfy'], /did you mean 'verify'/], [['run', '--lisen', 'x'],
    /did you mean --listen/], [['user'], /needs add LOGIN/], [['user', 'add'], /say 'add LOGIN'/],
  [['enroll'], /needs LOGIN/], [['enroll', 'a', '--minutes', 'soon'], /must be a number from 1/],
  [['devices', 'x'], /does not know what to do with x/], [['backup'], /needs FILE/]];
  for (const [args, expected] of cases) {
    const result = await lib.run('satcheld', args);
    assert.equal(result.code, 2, args.join(' '));
    assert.match(result.err, expected);
    assert.equal(result.out, '');
  }
});

test('a directory that is not there, or is there already', async () => {
  const folder = lib.temporaryFolder('init');
  const server = new lib.Server(folder);
  const missing = await server.run('status');
  assert.equal(missing.code, 1);
  assert.match(missing.err, /satcheld init --data/);
  await server.init('--name', 'Acme');
  assert.equal(fs.statSync(server.data).mode & 0o777, 0o700);
  assert.equal(fs.statSync(path.join(server.data, 'tls.key')).mode & 0o777, 0o600);
  assert.equal(fs.statSync(path.join(server.data, 'hq.db')).mode & 0o077, 0);
  const again = await server.run('init');
  assert.equal(again.code, 3);
  assert.match(again.err, /exists already/);
});

test('a bad model is refused by its place, and nothing is made', async () => {
  const folder = lib.temporaryFolder('model');
  const model = path.join(folder, 'bad.json');
  fs.writeFileSync(model, JSON.stringify({ name: 'x', version: 1, tables: [{ id: 16, name: 't',
    label: { en: 'T' }, delete: 'wins', bucket: 'company',
    columns: [{ id: 1, name: 'a', type: 'txt', label: { en: 'A' } }] }] }));
  const server = new lib.Server(folder);
  const result = await server.run('init', '--model', model);
  assert.notEqual(result.code, 0);
  assert.match(result.err, /bad\.json.*tables\[0\].*txt/);
  assert.equal(fs.existsSync(path.join(server.data, 'hq.db')), false);
});

test('the configuration file: flags win, mistakes are told by line', async () => {
  const server = await new lib.Server(lib.temporaryFolder('conf')).init('--listen', '127.0.0.1:0');
  const file = path.join(server.data, 'satcheld.conf');
  assert.match(fs.readFileSync(file, 'utf8'), /^listen = 127\.0\.0\.1:0$/m);
  fs.appendFileSync(file, '\nlisten = 127.0.0.1:1\nsync = normal\n');
  await server.start(); // lib.js says --listen 127.0.0.1:0
  assert.notEqual(server.port, 1);
  await server.stop();
  fs.appendFileSync(file, 'synk = full\n');
  const wrong = await server.run('run');
  assert.equal(wrong.code, 3);
  assert.match(wrong.err, /satcheld\.conf:\d+: there is no setting 'synk'; did you mean 'sync'/);
});

test('one server', async (t) => {
  const server = await lib.headquarters('one');
  t.after(() => server.kill());

  await t.test('says its address and pin', () => {
    assert.match(server.job.out, new RegExp(`on 127\\.0\\.0\\.1, port ${server.port}`));
    assert.match(server.job.out, /^Pin: [\w-]{43}$/m);
  });

  await t.test('a second one on the same directory is refused', async () => {
    const second = await server.run('run', '--listen', '127.0.0.1:0');
    assert.equal(second.code, 3);
    assert.match(second.err, new RegExp(`locked by process ${server.job.child.pid}`));
  });

  await t.test('a second one on the same port is exit code 4', async () => {
    const other = await new lib.Server(server.folder, { name: 'other' }).init();
    const second = await other.run('run', '--listen', `127.0.0.1:${server.port}`);
    assert.equal(second.code, 4, second.err);
    assert.match(second.err, /in use/);
  });

  await t.test('--json of every command, and of failures', async () => {
    const users = await server.json('user', 'list');
    assert.deepEqual(users.users.map((u) => [u.login, u.role, u.branch]).sort(),
      [['anna', 'rep', 'North'], ['bert', 'rep', 'North'], ['boss', 'admin', undefined],
        ['carl', 'rep', 'South']]);
    assert.deepEqual((await server.json('branch', 'list')).branches.map((b) => b.city),
      ['Oslo', 'Rome']);
    assert.deepEqual((await server.json('devices')).devices, []);
    assert.equal((await server.json('status')).running, true);
    assert.equal((await server.json('verify')).ok, true);
    const ticket = await server.json('enroll', 'anna', '--minutes', '5');
    assert.match(ticket.ticket, new RegExp(
      `^satchel://127\\.0\\.0\\.1:${server.port}/[0-9A-HJKMNP-TV-Z]{26}\\?pin=[\\w-]{43}$`));
    assert.ok(Math.abs(ticket.expires_ms - Date.now() - 300000) < 60000);
    assert.match((await server.json('enroll', 'anna', '--host', 'hq.example:99')).ticket,
      /^satchel:\/\/hq\.example:99\//);
    const rows = await server.json('sql', 'SELECT name FROM branch ORDER BY name');
    assert.deepEqual(rows, [{ name: 'North' }, { name: 'South' }]);
    for (const [args, code, name] of [
      [['user', 'add', 'anna'], 3, 'EXISTS'], [['user', 'add', 'x', '--role', 'king'], 3, 'INVALID'],
      [['user', 'set', 'nobody', '--name', 'x'], 1, 'NOT_FOUND'],
      [['user', 'add', 'x', '--branch', 'West'], 1, 'NOT_FOUND'],
      [['branch', 'add', 'North'], 3, 'EXISTS'], [['enroll', 'nobody'], 1, 'NOT_FOUND'],
      [['revoke', 'nothing'], 1, 'NOT_FOUND'], [['sql', 'DELETE FROM user'], 3, 'FORBIDDEN']]) {
      const result = await server.run(...args, '--json');
      assert.equal(result.code, code, args.join(' '));
      const answer = JSON.parse(result.out);
      assert.equal(answer.ok, false);
      assert.equal(answer.code, name, args.join(' '));
      assert.ok(answer.message.length > 10);
    }
  });

  await t.test('tables for people', async () => {
    const users = await server.must('user', 'list');
    assert.match(users.out, /^Login +Name +Role +Branch +State +Substitute\n/);
    assert.match(users.out, /^anna +rep +North +active *$/m);
    await server.must('user', 'set', 'carl', '--active', 'no', '--name', 'Карл');
    assert.match((await server.must('user', 'list')).out, /^carl +Карл +rep +South +locked out *$/m);
    assert.match((await server.must('status')).out, /running/);
  });

  await t.test('the same commands without a server', async () => {
    await server.stop();
    assert.equal((await server.json('status')).running, false);
    assert.equal((await server.json('user', 'list')).users.length, 4);
    assert.equal((await server.json('user', 'add', 'dora')).ok, true);
    assert.equal((await server.json('user', 'list')).users.length, 5);
    await server.start();
    assert.equal((await server.json('user', 'list')).users.length, 5);
  });

  await t.test('SIGTERM and SIGINT end it with exit code 0, and its files go', async () => {
    for (const signal of ['SIGTERM', 'SIGINT']) {
      const result = await server.stop(signal);
      assert.equal(result.code, 0, signal + result.err);
      assert.equal(fs.existsSync(path.join(server.data, 'control.sock')), false);
      assert.equal(fs.existsSync(path.join(server.data, 'address')), false);
      await server.start();
    }
  });
});

// Puts a changed byte into a blob of the stopped server's store, past everything.
function flip(file, find) {
  const bytes = fs.readFileSync(file);
  const at = bytes.indexOf(find);
  assert.ok(at > 0, `${find} is in the file`);
  bytes[at] ^= 0x01;
  fs.writeFileSync(file, bytes);
}

test('verify names a changed audit entry and a changed row', async () => {
  const server = await lib.headquarters('verify');
  await server.must('branch', 'add', 'Westermark', '--city', 'Tromso');
  await server.stop();
  const file = path.join(server.data, 'hq.db');
  const sound = fs.readFileSync(file);
  assert.equal((await server.run('verify')).code, 0);

  flip(file, '"what":"user added"');
  const audit = await server.run('verify');
  assert.equal(audit.code, 1);
  assert.match(audit.out, /audit log: entry \d+ \(table satchel_audit\) is not what was written/);

  fs.writeFileSync(file, sound);
  flip(file, 'Tromso');
  const row = await server.run('verify');
  assert.equal(row.code, 1);
  assert.match(row.out, /bucket \d+ \(the company\): its records do not add up/);
  const json = await server.run('verify', '--json');
  assert.equal(json.code, 1);
  assert.equal(JSON.parse(json.out).ok, false);

  fs.writeFileSync(file, sound);
  assert.equal((await server.run('verify')).code, 0);
});

test('backup and restore by hand', async (t) => {
  const server = await lib.headquarters('backup');
  t.after(() => server.kill());
  const file = path.join(server.folder, 'monday.db');
  const made = await server.must('backup', file);
  assert.match(made.out, /verified/);
  assert.equal((await server.run('backup', file)).code, 3);
  assert.equal((await server.run('verify', file)).code, 0);
  await server.must('branch', 'add', 'Later');

  const busy = await server.run('restore', file, '--force');
  assert.equal(busy.code, 3);
  assert.match(busy.err, /another satcheld works/);
  await server.stop();
  const there = await server.run('restore', file);
  assert.equal(there.code, 3);
  assert.match(there.err, /--force/);
  const damaged = path.join(server.folder, 'damaged.db');
  fs.copyFileSync(file, damaged);
  flip(damaged, '"what":"user added"');
  const refused = await server.run('restore', damaged, '--force');
  assert.equal(refused.code, 5);
  assert.match(refused.err, /audit log/);
  assert.equal((await server.json('branch', 'list')).branches.length, 3, 'nothing was touched');

  await server.must('restore', file, '--force');
  assert.equal((await server.json('branch', 'list')).branches.length, 2);
  assert.ok(fs.existsSync(path.join(server.data, 'hq.db.replaced-1')));
  const before = (await server.json('status')).starts;
  await server.start();
  assert.equal((await server.json('status')).starts, before + 1);

  const fresh = new lib.Server(server.folder, { name: 'fresh' });
  const keyless = await fresh.run('restore', file);
  assert.equal(keyless.code, 1);
  assert.match(keyless.err, /tls\.key/);
  await fresh.must('restore', file, '--new-key');
  assert.equal((await fresh.json('branch', 'list')).branches.length, 2);
});

test('backup under load: every copy verifies', async (t) => {
  const server = await lib.headquarters('load');
  t.after(() => server.kill());
  let added = 0;
  let stop = false;
  const load = (async () => {
    while (!stop) {
      await server.must('branch', 'add', `Branch ${++added}`);
    }
  })();
  const counts = [];
  for (let i = 0; i < 5; i++) {
    const file = path.join(server.folder, `load-${i}.db`);
    await server.must('backup', file);
    const report = JSON.parse((await server.run('verify', file, '--json')).out);
    assert.equal(report.ok, true);
    counts.push(report.records);
  }
  stop = true;
  await load;
  assert.ok(added > 5);
  assert.deepEqual(counts, [...counts].sort((a, b) => a - b));
  assert.ok(counts[4] > counts[0], `the store grew meanwhile: ${counts}`);
  assert.equal((await server.json('verify')).ok, true);
});
