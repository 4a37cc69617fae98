// ctest: timeout=900
// kill.test.js - kill -9 of client or server anywhere in a sync, again and again: no acknowledged write is
// lost, none is applied twice, and in the end both sides have the same.
//
// SATCHEL_KILLS sets how often (200); SATCHEL_SEED replays a run's random choices (not its timing).
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const lib = require('./lib.js');

const KILLS = Number(process.env.SATCHEL_KILLS) || 200;
const seed = Number(process.env.SATCHEL_SEED) || (Date.now() & 0x7fffffff);

test.after(lib.cleanUp);

// mulberry32
let state = seed;
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}

// Writes of one device; what returned is acknowledged as saved on the device.
class Writer {
  constructor(device, name, counter) {
    Object.assign(this, { device, name, counter, codes: [], added: 0, batches: 0 });
  }

  async write() {
    if (random() < 0.2) { // a longer push, to be cut in its middle
      this.codes.push(...await this.device.addMany(`${this.name}-batch${++this.batches}`, 25));
    }
    const rows = 1 + Math.floor(random() * 3);
    for (let i = 0; i < rows; i++) {
      const code = `${this.name}-${this.codes.length + 1}-single`;
      await this.device.add('party', `code=${code}`, `name=${code}`);
      this.codes.push(code);
    }
    const points = await this.device.one(
      `SELECT loyalty_points FROM party WHERE id=${lib.hexId(this.counter)}`);
    await this.device.set('party', this.counter, `loyalty_points=${points + 1}`);
    this.added++;
  }
}

test(`${KILLS} kills (seed ${seed})`, async (t) => {
  const server = await lib.headquarters('kill', { flags: ['--page-rows', '20'] });
  t.after(() => server.kill());
  const boss = await server.device('boss');
  const counter = await boss.add('party', 'name=Counter', 'loyalty_points=0');
  await boss.sync();
  const writers = [];
  for (const name of ['anna', 'bert', 'carl']) {
    writers.push(new Writer(await server.device(name), name, counter));
  }

  let typical = 60; // ms of an undisturbed sync; follows what is measured
  const killed = { client: 0, server: 0, late: 0 };
  for (let kills = 0; kills < KILLS;) {
    const writer = writers[Math.floor(random() * writers.length)];
    await writer.write();
    const from = Date.now();
    const sync = writer.device.start('--json', 'sync');
    const victim = random() < 0.5 ? 'client' : 'server';
    let finished = false;
    sync.done.then(() => { finished = true; });
    const delay = random() * typical * 1.1;
    while (!finished && Date.now() - from < delay) {
      await lib.sleep(1);
    }
    if (finished) { // it was quicker than that: no kill, measured instead
      const result = await sync.done;
      assert.equal(result.code, 0, result.err);
      typical = 0.8 * typical + 0.2 * (Date.now() - from);
      killed.late++;
      assert.ok(killed.late < KILLS * 3, 'the kills land');
      continue;
    }
    kills++;
    killed[victim]++;
    if (victim === 'client') {
      sync.kill();
      await sync.done;
    } else {
      await server.kill();
      await lib.sleep(random() * 20);
      sync.kill(); // it would try again until the server is back
      await sync.done;
      await server.start();
    }
  }
  t.diagnostic(`killed the client ${killed.client}, the server ${killed.server} times; ` +
    `${killed.late} syncs ended before their kill; ${server.starts} starts of the server`);

  const devices = [...writers.map((w) => w.device), boss];
  await lib.settle(...devices);
  const codes = writers.flatMap((w) => w.codes).sort();
  const places = [server, ...devices];
  for (const place of places) {
    const found = (await place.sql('SELECT code FROM party WHERE code IS NOT NULL'))
      .map((row) => row.code).sort();
    assert.deepEqual(found, codes, 'every acknowledged record once, and no other');
    const [row] = await place.sql(`SELECT loyalty_points FROM party WHERE id=${lib.hexId(counter)}`);
    assert.equal(row.loyalty_points, writers.reduce((sum, w) => sum + w.added, 0));
  }
  const expected = await lib.contents(server, 'party', ['code', 'name', 'loyalty_points']);
  for (const device of devices) {
    assert.equal(await lib.contents(device, 'party', ['code', 'name', 'loyalty_points']), expected);
    const status = await device.json('status');
    assert.equal(status.saved_here, 0, 'nothing waits');
    assert.equal(status.parked, 0);
    assert.equal(status.attention, 0, 'no digest disagreed');
  }
  const verified = await server.run('verify');
  assert.equal(verified.code, 0, verified.out);
  t.diagnostic(`${codes.length} records and ${writers.map((w) => w.added).join('+')} counter writes`);
});
