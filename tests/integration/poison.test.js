// ctest: timeout=900
// poison.test.js - one group that headquarters must refuse in a queue of 1,000: the other 999 arrive, the
// one is explained, can be given up, and can be put right.
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const lib = require('./lib.js');

test.after(lib.cleanUp);

test('one poison group in a queue of 1,000', async (t) => {
  const server = await lib.headquarters('poison');
  t.after(() => server.kill());
  const boss = await server.device('boss');
  const product = await boss.add('product', 'code=P1', 'name=Rope', 'price=10', 'currency=EUR');
  await boss.sync();
  const anna = await server.device('anna');
  await anna.addMany('first', 600);
  await anna.set('product', product, 'name=Poison'); // products are an administrator's to change
  await anna.addMany('last', 399);
  assert.equal((await anna.json('status')).saved_here, 1000);

  const sync = await anna.run('sync');
  assert.equal(sync.code, 3, `something was set aside: ${sync.err}`);
  assert.match(sync.out, /attention/);
  const count = async (place) => (await place.sql(
    "SELECT count(*) AS n FROM party WHERE code LIKE 'first-%' OR code LIKE 'last-%'"))[0].n;
  assert.equal(await count(server), 999);
  await boss.sync();
  assert.equal(await count(boss), 999);

  const parked = await anna.attention();
  assert.equal(parked.length, 1);
  assert.match(JSON.stringify(parked[0]), /Poison/);
  const told = await anna.run('attention');
  assert.match(told.out, /Rope|Poison/);
  assert.match(told.out, /may not change/, 'the reason in words');
  assert.equal((await anna.show('product', product)).name, 'Rope', 'it left the view');
  assert.equal((await anna.json('status')).saved_here, 0, 'nothing queues behind it');

  const id = String(parked[0].id);
  await anna.must('attention', 'discard', id);
  assert.equal((await anna.attention()).length, 0);
  await anna.sync();
  assert.equal((await server.sql('SELECT name FROM product'))[0].name, 'Rope');
});

test('a parked group is tried again when the reason has gone', async (t) => {
  const server = await lib.headquarters('retry');
  t.after(() => server.kill());
  const anna = await server.device('anna');
  await anna.add('product', 'code=P2', 'name=Hook');
  await anna.sync();
  const [parked] = await anna.attention();
  assert.ok(parked, 'a rep may not add products');
  assert.deepEqual(await server.sql('SELECT name FROM product'), []);
  await server.must('user', 'set', 'anna', '--role', 'admin');
  await anna.must('attention', 'fix', String(parked.id), 'name=Better hook');
  await anna.sync();
  assert.deepEqual(await server.sql('SELECT name FROM product'), [{ name: 'Better hook' }]);
  assert.equal((await anna.attention()).length, 0);
});
