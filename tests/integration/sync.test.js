// ctest: timeout=900
// sync.test.js - devices that wrote offline meet at headquarters: what is merged, who wins, what can be
// taken back, what is deleted and what revives, who sees what.
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const lib = require('./lib.js');

test.after(lib.cleanUp);

test('devices offline, and together again', async (t) => {
  const server = await lib.headquarters('sync');
  t.after(() => server.kill());
  const [anna, bert, carl] = [await server.device('anna'), await server.device('bert'),
    await server.device('carl')];
  const everyone = [anna, bert, carl];
  const customer = async (name, ...fields) => {
    const id = await anna.add('party', `name=${name}`, ...fields);
    await lib.settle(...everyone);
    return id;
  };

  await t.test('a record travels, and is the same everywhere', async () => {
    const id = await customer('Acme', 'city=Oslo', 'phones=+47 1; +47 2');
    for (const device of everyone) {
      const row = await device.show('party', id);
      assert.equal(row.name, 'Acme');
      assert.deepEqual(JSON.parse(row.phones), ['+47 1', '+47 2']);
    }
    assert.equal((await server.sql(`SELECT name FROM party WHERE id=${lib.hexId(id)}`))[0].name,
      'Acme');
  });

  await t.test('different columns of one record: both survive, without a conflict', async () => {
    const id = await customer('Two columns');
    await anna.set('party', id, 'industry=Fishing');
    await bert.set('party', id, 'website=two.example');
    await lib.settle(anna, bert, carl);
    for (const device of everyone) {
      const row = await device.show('party', id);
      assert.equal(row.industry, 'Fishing');
      assert.equal(row.website, 'two.example');
    }
    assert.equal(await anna.one(`SELECT count(*) FROM conflict WHERE record=${lib.hexId(id)}`), 0);
  });

  await t.test('the same column: the later wins, the other is kept and can be taken back', async () => {
    const id = await customer('Same column', 'industry=None');
    await anna.set('party', id, 'industry=Mining');
    await lib.sleep(20);
    await bert.set('party', id, 'industry=Shipping');
    await bert.sync(); // the later arrives first: the order of arrival decides nothing
    await lib.settle(anna, bert, carl);
    for (const device of everyone) {
      assert.equal((await device.show('party', id)).industry, 'Shipping');
    }
    const conflict = (await anna.conflicts()).find((c) => c.record === id);
    assert.ok(conflict, 'there is a conflict record');
    const texts = conflict.candidates.map((c) => c.text);
    assert.deepEqual([...texts].sort(), ['Mining', 'Shipping']);
    const { number } = conflict.candidates.find((c) => c.text === 'Mining');
    await anna.must('conflicts', 'take', conflict.id, String(number));
    await lib.settle(anna, bert, carl);
    for (const device of everyone) {
      assert.equal((await device.show('party', id)).industry, 'Mining');
      assert.equal((await device.conflicts()).some((c) => c.record === id), false,
        'it is settled');
    }
  });

  await t.test('the same value twice is no conflict', async () => {
    const id = await customer('Agreed');
    await anna.set('party', id, 'industry=Glass');
    await bert.set('party', id, 'industry=Glass');
    await lib.settle(anna, bert);
    assert.equal((await bert.show('party', id)).industry, 'Glass');
    assert.equal(await anna.one(`SELECT count(*) FROM conflict WHERE record=${lib.hexId(id)}`), 0);
  });

  await t.test('restrict: the stricter wins, whoever wrote last', async () => {
    const id = await customer('Leave me alone');
    await anna.set('party', id, 'do_not_call=yes', 'consent=refused');
    await lib.sleep(20);
    await bert.set('party', id, 'consent=granted', 'notes=likes to talk');
    await lib.settle(anna, bert, carl);
    for (const device of everyone) {
      const row = await device.show('party', id);
      assert.equal(row.do_not_call, 1);
      assert.equal(row.consent, 'refused');
      assert.equal(row.notes, 'likes to talk');
    }
  });

  await t.test('counters add up, sets unite', async () => {
    const id = await customer('Points', 'loyalty_points=10', 'phones=1; 2');
    await anna.set('party', id, 'loyalty_points=15', 'phones=1; 2; 3');
    await bert.set('party', id, 'loyalty_points=17', 'phones=2; 4');
    await lib.settle(anna, bert, carl);
    for (const device of everyone) {
      const row = await device.show('party', id);
      assert.equal(row.loyalty_points, 22);
      assert.deepEqual(JSON.parse(row.phones).sort(), ['2', '3', '4']);
    }
  });

  await t.test('a delete meets a change that it had not seen: the customer revives', async () => {
    const id = await customer('Phoenix');
    const contact = await anna.add('contact', `party=${id}`, 'name=Ash');
    await lib.settle(...everyone);
    await anna.must('rm', 'party', id, '--yes');
    assert.equal(await anna.show('party', id), null);
    await bert.set('party', id, 'industry=Fire');
    await lib.settle(anna, bert, carl);
    for (const device of everyone) {
      assert.equal((await device.show('party', id))?.industry, 'Fire');
      assert.ok(await device.show('contact', contact), 'what was deleted with it is back');
    }
    const told = await anna.sql(`SELECT kind FROM conflict WHERE record=${lib.hexId(id)}`);
    assert.ok(told.some((row) => row.kind === 'delete'), 'both sides are told');
  });

  await t.test('a delete that saw everything stays', async () => {
    const id = await customer('Gone');
    await bert.must('rm', 'party', id, '--yes');
    await lib.settle(bert, anna, carl);
    for (const device of everyone) {
      assert.equal(await device.show('party', id), null);
    }
    assert.deepEqual(await server.sql(`SELECT name FROM party WHERE id=${lib.hexId(id)}`), []);
    await anna.must('restore', 'party', id);
    await lib.settle(anna, bert);
    assert.equal((await bert.show('party', id))?.name, 'Gone');
  });

  await t.test('lines: a delete wins over a change', async () => {
    const id = await customer('Orders');
    const order = await anna.add('sales_order', `party=${id}`, 'status=draft');
    const line = await anna.add('order_line', `sales_order=${order}`, 'quantity=1', 'unit_price=2.50');
    const kept = await anna.add('order_line', `sales_order=${order}`, 'quantity=5', 'unit_price=1');
    await lib.settle(...everyone);
    await anna.must('rm', 'order_line', line, '--yes');
    await bert.set('order_line', line, 'quantity=9');
    await bert.set('order_line', kept, 'quantity=6');
    await lib.settle(anna, bert, carl);
    for (const device of everyone) {
      assert.equal(await device.show('order_line', line), null);
      assert.equal((await device.show('order_line', kept)).quantity, 6);
    }
  });

  await t.test('what is the branch\'s stays in the branch', async () => {
    const id = await anna.add('party', 'name=Northern secret', 'visibility=branch', 'branch=North');
    const contact = await anna.add('contact', `party=${id}`, 'name=Nils');
    await lib.settle(anna, bert, carl);
    assert.equal((await bert.show('party', id))?.name, 'Northern secret');
    assert.ok(await bert.show('contact', contact), 'children travel with it');
    assert.equal(await carl.show('party', id), null);
    assert.equal(await carl.show('contact', contact), null);
    const boss = await server.device('boss');
    assert.equal((await boss.show('party', id))?.name, 'Northern secret');
  });

  await t.test('a live device sees a change within a second of its commit', async () => {
    const live = bert.live();
    await live.saw('caught_up');
    const before = live.events().filter((e) => e.event === 'checkpoint').length;
    const id = await anna.add('party', 'name=News');
    await anna.sync();
    const from = Date.now();
    await live.saw('checkpoint', before + 1, 5000);
    assert.ok(Date.now() - from < 1000);
    assert.equal((await bert.show('party', id))?.name, 'News', 'read beside the live sync');
    live.kill('SIGTERM');
    assert.equal((await live.done).code, 0);
  });

  await t.test('in the end all replicas and headquarters agree', async () => {
    await lib.settle(...everyone);
    const boss = await server.device('boss', 'boss-2');
    const columns = ['name', 'industry', 'website', 'city', 'phones', 'do_not_call', 'consent',
      'loyalty_points', 'notes'];
    const expected = await lib.contents(server, 'party', columns);
    assert.equal(await lib.contents(boss, 'party', columns), expected);
    assert.equal(await lib.contents(anna, 'party', columns), expected);
    assert.equal((await server.run('verify')).code, 0);
    for (const device of everyone) {
      const status = await device.json('status');
      assert.equal(status.saved_here, 0);
      assert.equal(status.attention, 0, 'no digest disagreed');
    }
  });
});
