// ctest: timeout=300
// retention.test.js - months pass by the wall clock: what was deleted is purged, a laptop that lay in a drawer reads
// anew and keeps what was written on it, a customer that somebody still worked on comes back with one command, and
// `status` says how much of everything there is.
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const lib = require('./lib.js');
const { Clock, buildShim } = require('./faults.js');

const DAY_MS = 24 * 3600 * 1000;

test.after(lib.cleanUp);

class Years {
  constructor(folder) {
    this.clock = new Clock(folder, 'all', buildShim(folder));
    this.days = 0;
  }

  // A start of headquarters so many days later, which has purged.
  async pass(server, days) {
    await server.stop();
    const before = (await server.json('status', '--sizes')).retention.last_purge_ms;
    this.days += days;
    this.clock.shift(this.days * DAY_MS);
    await server.start();
    await lib.until('a purge', async () => (await server.json('status', '--sizes')).retention.last_purge_ms !== before);
  }
}

test('months pass', async (t) => {
  const folder = lib.temporaryFolder('retention');
  const years = new Years(folder);
  const { env } = years.clock;
  const server = new lib.Server(folder, { env });
  t.after(() => server.kill());
  await server.init();
  await server.start();
  await server.must('user', 'add', 'anna', '--role', 'rep');
  await server.must('user', 'add', 'boris', '--role', 'rep');
  const anna = await server.device('anna', 'anna', { env });
  const boris = await server.device('boris', 'boris', { env });
  const acme = await anna.add('party', 'name=Acme', 'city=Gyumri');
  const gone = await anna.add('party', 'name=Gone');
  await lib.settle(anna, boris);
  await anna.must('rm', 'party', acme, '--yes');
  await anna.must('rm', 'party', gone, '--yes');
  await anna.sync();
  await boris.set('party', acme, 'website=acme.example'); // in the drawer
  const written = await boris.add('party', 'name=Written');

  await t.test('status says what there is', async () => {
    const status = await server.json('status', '--sizes');
    assert.equal(status.database.deleted.rows, 2);
    assert.ok(status.database.file_bytes > status.database.records.bytes);
    assert.ok(status.database.audit.rows >= 3);
    assert.equal(status.retention.horizon_days, 90);
    const text = (await server.must('status', '--sizes')).out;
    assert.match(text, /deleted records, until they are purged/);
    assert.match(text, /kept for 90 days/);
    assert.match((await anna.must('status', '--sizes')).out, /On the disk .*records .*2 deleted records/);
    const mine = (await anna.json('status', '--sizes')).database;
    assert.ok(mine.file_bytes > 0 && mine.records_bytes > 0 && mine.own_groups_bytes > 0);
    assert.equal(mine.deleted, 2);
  });

  await t.test('what was deleted goes after the horizon', async () => {
    await years.pass(server, 6); // the heads of this day are noted, as a sixteenth of the horizon has passed
    await years.pass(server, 80);
    assert.equal((await server.json('status', '--sizes')).database.deleted.rows, 2);
    await years.pass(server, 20);
    assert.equal((await server.json('status', '--sizes')).database.deleted.rows, 0);
    await anna.sync();
    assert.equal((await anna.json('status', '--sizes')).database.deleted, 0);
  });

  await t.test('a laptop from a drawer reads anew, and keeps what was written on it', async () => {
    await years.pass(server, 6);
    await anna.sync();
    await years.pass(server, 95);
    assert.equal((await server.sql('SELECT count(*) AS n FROM satchel_floor'))[0].n, 1);
    await boris.sync();
    assert.equal(await boris.show('party', gone), null);
    assert.equal(await boris.show('party', acme), null);
    await anna.sync();
    assert.equal((await anna.show('party', written)).name, 'Written');
  });

  await t.test('the customer comes back with one command', async () => {
    const [parked] = await boris.attention();
    assert.equal(parked.reason, 'PURGED');
    assert.match((await boris.run('attention')).out, /deleted long ago; trying again brings it back/);
    await boris.must('attention', 'retry', String(parked.id));
    await lib.settle(boris, anna);
    const row = await anna.show('party', acme);
    assert.deepEqual([row.name, row.city, row.website], ['Acme', 'Gyumri', 'acme.example']);
    assert.equal(await anna.show('party', gone), null);
  });

  await t.test('a stopped server is compacted', async () => {
    assert.equal((await server.json('compact')).ok, false); // it runs
    await server.stop();
    const compacted = await server.json('compact');
    assert.ok(compacted.ok && compacted.after_bytes <= compacted.before_bytes, JSON.stringify(compacted));
    assert.equal((await server.json('status', '--sizes')).database.free_bytes, 0);
    await server.start();
    await lib.settle(anna, boris);
  });

  const verdict = await server.json('verify');
  assert.equal(verdict.ok, true, JSON.stringify(verdict));
});
