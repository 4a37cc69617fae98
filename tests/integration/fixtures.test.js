// ctest: timeout=300
// fixtures.test.js - customer files of earlier programs (tests/fixtures) are opened, brought to the model of now, and
// sync: every record and every group that waited is found again.
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const lib = require('./lib.js');
const { freePort } = require('./branches.js');

test.after(lib.cleanUp);

const home = path.join(lib.source, 'tests/fixtures');
const names = fs.readdirSync(home).filter((name) => fs.existsSync(path.join(home, name, 'expected.json')));
const COLUMNS = {
  party: ['name', 'city', 'industry', 'notes', 'loyalty_points', 'website', 'visibility'],
  contact: ['name', 'first_name', 'emails'],
};

// The files of a place, its database loaded from the text.
function unpack(name, place, folder) {
  fs.mkdirSync(folder, { mode: 0o700 });
  for (const file of fs.readdirSync(path.join(home, name, place))) {
    const from = path.join(home, name, place, file);
    if (file.endsWith('.sql')) {
      execFileSync(path.join(lib.bin, 'satchel_fixture_load'), [path.join(folder, file.slice(0, -4))],
        { input: fs.readFileSync(from) });
    } else {
      fs.copyFileSync(from, path.join(folder, file));
      fs.chmodSync(path.join(folder, file), 0o600);
    }
  }
}

async function found(place) {
  const all = {};
  for (const [table, columns] of Object.entries(COLUMNS)) {
    all[table] = (await lib.contents(place, table, columns)).split('\n').filter((line) => line);
  }
  return all;
}

// Where things are now: ports are others than when the fixture was made.
function readdress(folder, port, upstream) {
  const conf = path.join(folder, 'satcheld.conf');
  if (upstream) {
    fs.writeFileSync(conf, fs.readFileSync(conf, 'utf8').replace(/^upstream *=.*$/m, `upstream = 127.0.0.1:${upstream}`));
  }
  fs.writeFileSync(conf, fs.readFileSync(conf, 'utf8').replace(/^listen *=.*$/m, `listen = 127.0.0.1:${port}`));
}

function moveDevice(folder, port) {
  const file = path.join(folder, 'identity.json');
  const identity = JSON.parse(fs.readFileSync(file, 'utf8'));
  const move = (object) => {
    for (const [key, value] of Object.entries(object)) {
      if (key === 'port') {
        object[key] = port;
      } else if (value && typeof value === 'object') {
        move(value);
      }
    }
  };
  move(identity);
  fs.writeFileSync(file, JSON.stringify(identity), { mode: 0o600 });
}

async function open(name) {
  const folder = lib.temporaryFolder('fixture');
  const hq = new lib.Server(folder, { name: 'hq' });
  const branch = new lib.Server(folder, { name: 'branch' });
  const device = new lib.Device(path.join(folder, 'device'));
  unpack(name, 'hq', hq.data);
  unpack(name, 'branch', branch.data);
  unpack(name, 'device', device.dir);
  hq.port = await freePort();
  branch.port = await freePort();
  readdress(hq.data, hq.port);
  readdress(branch.data, branch.port, hq.port);
  moveDevice(device.dir, branch.port);
  return { hq, branch, device };
}

for (const name of names) {
  test(`fixture ${name}`, async (t) => {
    const expected = JSON.parse(fs.readFileSync(path.join(home, name, 'expected.json'), 'utf8'));
    const { hq, branch, device } = await open(name);
    t.after(async () => {
      await branch.stop();
      await hq.stop();
    });

    // each alone, as it was left
    assert.deepEqual(await found(device), expected.device);
    assert.equal((await device.json('status')).saved_here, expected.status.saved_here);
    await branch.start();
    assert.deepEqual(await found(branch), expected.branch);
    await hq.start();
    await lib.until('the branch is in touch', async () => {
      const status = await branch.json('status');
      return status.connected && status.pending === 0;
    });
    assert.equal((await hq.json('verify')).ok, true);

    // everything that waited arrives
    await device.sync();
    await lib.until('all is decided', async () => {
      await device.sync();
      const status = await device.json('status');
      return status.saved_here + status.at_branch + status.at_server === 0;
    });
    const final = await found(device);
    for (const place of ['hq', 'branch', 'device']) {
      for (const table of Object.keys(COLUMNS)) {
        const ids = new Set(final[table].map((line) => JSON.parse(line)[0]));
        for (const line of expected[place][table]) {
          assert.ok(ids.has(JSON.parse(line)[0]), `${place} ${table} ${line}`);
        }
      }
    }
    for (const table of Object.keys(COLUMNS)) {
      for (const line of expected.device[table]) { // the latest of all
        assert.ok(final[table].includes(line), line);
      }
    }
    assert.deepEqual(await found(hq), final);
    await lib.until('the branch has it, too', async () =>
      JSON.stringify(await found(branch)) === JSON.stringify(final));
    assert.deepEqual([await device.attention(), (await hq.json('status')).waiting], [[], 0]);
    assert.equal((await hq.json('verify')).ok, true);
    assert.equal((await branch.json('verify')).ok, true);
    assert.equal((await device.run('verify')).code, 0);
    // and it goes on: the model can be extended
    fs.writeFileSync(path.join(hq.data, 'fields.json'),
      '{"extends":"crm","tables":[{"name":"party","columns":[{"name":"shoe_size","type":"integer"}]}]}');
    await hq.must('model', 'extend', path.join(hq.data, 'fields.json'));
    await lib.until('the device has it', async () => {
      await device.sync().catch(() => null); // the branch opens its store anew, too
      return (await device.json('tables', 'party')).columns.some((column) => column.name === 'shoe_size');
    });
    assert.deepEqual(await found(device), final);
  });
}
