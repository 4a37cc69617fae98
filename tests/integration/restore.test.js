// ctest: timeout=900
// restore.test.js - headquarters comes back from an old backup, a device's directory is copied, a device's
// directory goes back in time: nothing that was acknowledged is lost.
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const lib = require('./lib.js');

test.after(lib.cleanUp);

async function codes(place) {
  return (await place.sql('SELECT code FROM party WHERE code IS NOT NULL')).map((r) => r.code).sort();
}

test('100 groups after the backup come back without being asked', async (t) => {
  const server = await lib.headquarters('restore');
  t.after(() => server.kill());
  const [anna, bert] = [await server.device('anna'), await server.device('bert')];
  const early = await anna.addMany('early', 20);
  await lib.settle(anna, bert);
  const backup = path.join(server.folder, 'backup.db');
  await server.must('backup', backup);

  const ofAnna = await anna.addMany('anna', 60);
  await bert.set('party', 'early-1', 'industry=Bakery');
  const ofBert = await bert.addMany('bert', 39);
  await lib.settle(anna, bert);
  const all = [...early, ...ofAnna, ...ofBert].sort();
  assert.deepEqual(await codes(server), all);
  const live = anna.live(); // connected all the time, restore included
  await live.saw('caught_up');

  await server.stop();
  await server.must('restore', backup, '--force');
  assert.deepEqual(await codes(server), early.sort());
  await server.start();

  await lib.until('the live device brings its own back', async () =>
    (await codes(server)).filter((c) => c.startsWith('anna')).length === 60);
  await bert.sync();
  assert.deepEqual(await codes(server), all);
  live.kill('SIGTERM');
  await live.done;
  await lib.settle(anna, bert);
  for (const device of [anna, bert]) {
    assert.deepEqual(await codes(device), all);
    assert.equal(await device.one("SELECT industry FROM party WHERE code='early-1'"), 'Bakery');
    assert.equal((await device.json('status')).saved_here, 0);
  }
  const fresh = await server.device('carl');
  assert.deepEqual(await codes(fresh), all);
  assert.equal((await server.run('verify')).code, 0);
});

test('a device is copied and both copies go on writing', async (t) => {
  const server = await lib.headquarters('clone');
  t.after(() => server.kill());
  const anna = await server.device('anna');
  const before = await anna.addMany('before', 3);
  await anna.sync();
  const waiting = await anna.addMany('waiting', 4); // in both outboxes
  const clone = anna.copy(`${anna.dir}-clone`);
  const ofAnna = await anna.addMany('left', 5);
  const ofClone = await clone.addMany('right', 6);
  await anna.sync();
  await clone.sync();
  await lib.settle(anna, clone);
  const more = [...await anna.addMany('left-again', 2), ...await clone.addMany('right-again', 2)];
  await lib.settle(clone, anna);
  const all = [...before, ...waiting, ...ofAnna, ...ofClone, ...more].sort();
  for (const place of [server, anna, clone]) {
    assert.deepEqual(await codes(place), all);
  }
  assert.notEqual((await anna.json('status')).parked, undefined);
  assert.equal((await clone.json('status')).parked, 0);
  assert.equal((await server.run('verify')).code, 0);
});

test('a device goes back in time', async (t) => {
  const server = await lib.headquarters('rollback');
  t.after(() => server.kill());
  const anna = await server.device('anna');
  const before = await anna.addMany('before', 3);
  await anna.sync();
  const old = anna.copy(`${anna.dir}-old`);
  const lost = await anna.addMany('later', 5);
  await anna.sync();
  fs.rmSync(anna.dir, { recursive: true });
  old.copy(anna.dir); // an old backup of the phone
  assert.deepEqual(await codes(anna), before.sort());
  const anew = await anna.addMany('anew', 4);
  await lib.settle(anna);
  const all = [...before, ...lost, ...anew].sort();
  for (const place of [server, anna]) {
    assert.deepEqual(await codes(place), all);
  }
  assert.equal((await server.run('verify')).code, 0);
});
