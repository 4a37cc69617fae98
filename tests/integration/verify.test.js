// verify.test.js - a bit of a record changes in the file of a replica: 'satchel verify' says so, and
// the next exchange mends it with a few kilobytes, whatever waits to be sent.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const lib = require('./lib.js');

test.after(lib.cleanUp);

// Flips one bit of a text wherever the closed database has it; how often it did.
function flip(file, text) {
  const bytes = fs.readFileSync(file);
  let found = 0;
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) {
    bytes[at + 3] ^= 1;
    found++;
  }
  fs.writeFileSync(file, bytes);
  return found;
}

test('one bit', async (t) => {
  const folder = lib.temporaryFolder('verify');
  const server = new lib.Server(folder);
  t.after(() => server.kill());
  await server.init('--name', 'Headquarters', '--listen', '127.0.0.1:0');
  await server.start();
  await server.must('user', 'add', 'ida', '--role', 'admin', '--name', 'Ida');
  const desk = await server.device('ida', 'desk');
  const phone = await server.device('ida', 'phone');
  const records = path.join(folder, 'records.jsonl');
  fs.writeFileSync(records, Array.from({ length: 3000 }, (_, i) =>
    JSON.stringify({ name: i === 1500 ? 'Qwertzuiop Ltd' : `Customer ${i}` })).join('\n'));
  await desk.must('import', '--table', 'party', records);
  await desk.sync();
  await phone.sync();

  const good = await phone.run('verify');
  assert.equal(good.code, 0, good.out + good.err);
  assert.match(good.out, /^In order: \d{4,} records in \d+ buckets are as they were saved/);
  assert.deepEqual((await phone.json('verify')).problems, []);

  const file = path.join(phone.dir, 'replica.db');
  assert.ok(!fs.existsSync(file + '-wal') || fs.statSync(file + '-wal').size === 0, 'closed');
  assert.ok(flip(file, 'Qwertzuiop') > 0);
  await phone.must('set', 'party', 'Customer 7', 'city=Oslo'); // waits to be sent

  const bad = await phone.run('verify');
  assert.equal(bad.code, 5);
  assert.match(bad.out, /Something is wrong:\n {2}the .*records.*: of 3\d{3} at least one is not as it was saved\n/);
  assert.match(bad.out, /The next 'satchel sync' compares with headquarters/);
  const report = await phone.run('verify', '--json');
  assert.equal(report.code, 5);
  const told = JSON.parse(report.out);
  assert.equal(told.in_order, false);
  assert.equal(told.marked, true);
  assert.equal(told.problems.length, 1);
  assert.equal(await phone.one("SELECT count(*) FROM party WHERE name='Qwertzuiop Ltd'"), 0);

  await phone.sync();
  assert.equal(await phone.one("SELECT count(*) FROM party WHERE name='Qwertzuiop Ltd'"), 1);
  assert.equal((await phone.run('verify')).code, 0);
  await desk.sync();
  assert.equal(await desk.one("SELECT city FROM party WHERE name='Customer 7'"), 'Oslo');
  assert.equal((await server.run('verify')).code, 0);

  // Beside another program: it is read, and nothing is noted.
  const live = phone.live();
  const beside = await phone.run('verify');
  assert.equal(beside.code, 0, beside.out + beside.err);
  live.child.kill();
  await live.done;
});
