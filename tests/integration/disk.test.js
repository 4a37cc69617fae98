// ctest: timeout=300
// disk.test.js - the disk of headquarters, or of a device, is full: nothing acknowledged is lost, nothing
// that was refused is there, who waits is told, others go on, and with room again all goes on by itself.
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const lib = require('./lib.js');
const { SmallDisk } = require('./small_disk.js');
const { History, load } = require('./history.js');
const { checkAll } = require('./checkers.js');
const { stream, seedFromEnvironment } = require('./random.js');
const { Client, prepare, stateOf, READ } = require('./workload.js');

const EXIT_NETWORK = 4;
const EXIT_STORAGE = 5;
const seed = seedFromEnvironment();
const disks = [];

test.after(async () => {
  disks.forEach((disk) => disk.done());
  await lib.cleanUp();
});

// A small disk; null and the test skipped where nobody may mount.
function smallDisk(t, folder, size) {
  const disk = new SmallDisk(folder, size);
  if (!disk.mounted) {
    t.skip('needs the right to mount a tmpfs');
    return null;
  }
  disks.push(disk);
  t.diagnostic(`a tmpfs of ${size} MiB`);
  return disk;
}

async function headquarters(folder, dataFolder) {
  const server = new lib.Server(dataFolder);
  await server.init();
  await server.start();
  await server.must('branch', 'add', 'North');
  for (const login of ['anna', 'bert', 'carl']) {
    await server.must('user', 'add', login, '--branch', 'North');
  }
  const device = async (name, where = folder) => {
    const made = new lib.Device(path.join(where, name));
    await made.must('enroll', await server.ticket(name), '--name', name);
    await made.sync();
    return made;
  };
  return { server, device };
}

test('the disk of headquarters is full, and has room again', async (t) => {
  const folder = lib.temporaryFolder('disk');
  const disk = smallDisk(t, path.join(folder, 'small'), 16);
  if (!disk) {
    return;
  }
  const { server, device } = await headquarters(folder, disk.folder);
  t.after(() => server.kill());
  const anna = await device('anna');
  const bert = await device('bert');
  await anna.addMany('first', 50);
  await anna.sync();
  disk.fill();
  await anna.addMany('second', 300);
  for (let i = 0; i < 2; i++) {
    const from = Date.now();
    const refused = await anna.run('sync');
    assert.equal(refused.code, EXIT_NETWORK, refused.err);
    assert.match(refused.err, /disk is full/);
    assert.match(refused.err, /safe on this device/);
    assert.ok(Date.now() - from < 15000, 'it does not wait for ever');
    assert.equal((await anna.json('status')).saved_here, 300);
  }
  const read = await bert.sync();
  assert.ok(read.pulled >= 50, 'others still receive');
  assert.equal(server.job.ended, false, 'the server stays');
  disk.free();
  await lib.settle(anna, bert);
  const expected = await lib.contents(server, 'party', ['code', 'name']);
  assert.equal(expected.split('\n').length, 350);
  for (const one of [anna, bert]) {
    assert.equal(await lib.contents(one, 'party', ['code', 'name']), expected);
  }
  assert.equal((await server.run('verify')).code, 0);
});

test('the disk of a device is full, and has room again', async (t) => {
  const folder = lib.temporaryFolder('disk');
  const disk = smallDisk(t, path.join(folder, 'small'), 6);
  if (!disk) {
    return;
  }
  const { server, device } = await headquarters(folder, folder);
  t.after(() => server.kill());
  const anna = await device('anna', disk.folder);
  const bert = await device('bert');
  await anna.add('party', 'code=before', 'name=before');
  await bert.addMany('other', 200);
  await bert.sync();
  disk.fill();
  const failed = [];
  for (let i = 0; i < 8; i++) {
    const result = await anna.run('add', 'party', `code=full-${i}`, 'name=x', `notes=${'y'.repeat(9000)}`);
    if (result.code !== 0) {
      assert.equal(result.code, EXIT_STORAGE, result.err);
      assert.match(result.err, /make room on the disk/);
      failed.push(i);
    }
  }
  assert.ok(failed.length > 0, 'the disk was full');
  const pulled = await anna.run('sync');
  assert.equal(pulled.code, EXIT_STORAGE, pulled.err);
  disk.free();
  await lib.settle(anna, bert);
  const codes = (await server.sql('SELECT code FROM party')).map((row) => row.code);
  assert.ok(codes.includes('before'), 'what was acknowledged before');
  for (let i = 0; i < 8; i++) {
    assert.equal(codes.filter((code) => code === `full-${i}`).length, failed.includes(i) ? 0 : 1);
  }
  assert.equal(await lib.contents(anna, 'party', ['code', 'name']), await lib.contents(server, 'party', ['code', 'name']));
  assert.equal((await anna.json('status')).saved_here, 0);
});

test(`a disk that is full now and then, under a workload (seed ${seed})`, async (t) => {
  const folder = lib.temporaryFolder('disk');
  const disk = smallDisk(t, path.join(folder, 'small'), 24);
  if (!disk) {
    return;
  }
  const { server, device } = await headquarters(folder, disk.folder);
  t.after(() => server.kill());
  const histories = path.join(folder, 'histories');
  fs.mkdirSync(histories);
  const logins = ['anna', 'bert', 'carl'];
  const random = stream(seed, 'disk');
  const clients = [];
  for (const name of logins) {
    clients.push(new Client({ name, device: await device(name), history: new History(histories, name),
      random: stream(seed, name), chance: { killWrite: 0, killSync: 0, stop: 0 } }));
  }
  await prepare(clients[0].device, logins);
  for (const client of clients) {
    await client.device.sync();
  }
  const work = Promise.all(clients.map((client) => client.run()));
  const met = () => /disk is full/.test(server.job.err); // a log that has room in itself grows later
  for (let i = 0; i < 4 || (i < 24 && !met()); i++) {
    await lib.sleep(random.between(500, 1500));
    disk.fill();
    await lib.sleep(random.between(500, 3000));
    disk.free();
  }
  clients.forEach((client) => { client.over = true; });
  await work;
  await lib.settle(...clients.map((client) => client.device));
  const finals = { hq: stateOf(await server.sql(READ)) };
  for (const client of clients) {
    finals[client.name] = stateOf(await client.device.sql(READ));
    client.history.close();
    assert.deepEqual(client.failures, []);
    assert.equal((await client.device.json('status')).saved_here, 0);
  }
  const problems = checkAll(load(histories), finals);
  assert.equal(Object.keys(problems).length, 0, JSON.stringify(problems, null, 1).slice(0, 20000));
  assert.equal((await server.run('verify')).code, 0);
  assert.ok(met(), 'it was full');
});
