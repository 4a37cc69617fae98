// ctest: timeout=300
// handover.test.js - customers that change hands: counted first, moved whole, seen by the new owner alone, and
// not a byte of them left in the files of the device that had them.
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const lib = require('./lib.js');

const CUSTOMERS = 40;
const CANARY = 'canary-qzx';

test.after(lib.cleanUp);

async function portfolio(boss, owner) {
  for (let i = 0; i < CUSTOMERS; i++) {
    const id = await boss.add('party', `name=${CANARY} customer ${i}`, 'visibility=owner',
      `owner=${owner}`, 'branch=North', `notes=${`${CANARY} likes long letters. `.repeat(i * 10)}`);
    await boss.add('contact', `party=${id}`, `name=${CANARY} person ${i}`);
    await boss.add('deal', `name=${CANARY} deal ${i}`, `party=${id}`, 'visibility=owner',
      `owner=${owner}`, 'branch=North');
  }
}

test('a portfolio changes hands', async (t) => {
  const server = await lib.headquarters('handover');
  t.after(() => server.kill());
  const [boss, anna, carl] = [await server.device('boss'), await server.device('anna'),
    await server.device('carl')];
  await portfolio(boss, 'anna');
  await lib.settle(boss, anna, carl);
  const holds = async (device) => [await device.one('SELECT count(*) FROM party'),
    await device.one('SELECT count(*) FROM contact'), await device.one('SELECT count(*) FROM deal')];
  const all = [CUSTOMERS, CUSTOMERS, CUSTOMERS];
  const none = [0, 0, 0];
  assert.deepEqual(await holds(anna), all);
  assert.deepEqual(await holds(carl), none);
  assert.ok(anna.countOf(CANARY) > 2 * CUSTOMERS);

  await t.test('a dry run counts, and changes nothing', async () => {
    const plan = await boss.json('handover', 'anna', 'carl', '--dry-run');
    assert.equal(plan.done, false);
    assert.deepEqual([plan.tables.party, plan.tables.deal, plan.records],
      [CUSTOMERS, CUSTOMERS, 2 * CUSTOMERS]);
    await lib.settle(boss, anna, carl);
    assert.deepEqual(await holds(anna), all);
  });

  await t.test('nobody is asked, nothing happens', async () => {
    const result = await boss.run('handover', 'anna', 'carl');
    assert.equal(result.code, 2);
    assert.match(result.err, /--yes/);
  });

  await t.test('it goes whole, and the new owner has it', async () => {
    const late = await anna.one(`SELECT hex(id) FROM party WHERE name='${CANARY} customer 3'`);
    await anna.set('party', lib.uuid(late), 'website=anna.example'); // before she hears of it
    const done = await boss.json('handover', 'anna', 'carl', '--yes');
    assert.equal(done.done, true);
    await boss.sync();
    await lib.settle(anna, carl, boss);
    assert.deepEqual(await holds(carl), all);
    assert.deepEqual(await holds(anna), none);
    assert.equal(await carl.one(`SELECT website FROM party WHERE id=x'${late}'`), 'anna.example');
    assert.equal(await carl.one(`SELECT b.name FROM party p JOIN branch b ON b.id=p.branch
      WHERE p.id=x'${late}'`), 'South');
    assert.deepEqual(await anna.attention(), []);
  });

  await t.test('nothing of it is left in the files of the former owner', () => {
    assert.equal(anna.countOf(CANARY), 0);
  });

  await t.test('the books are in order', async () => {
    const answer = await server.json('verify');
    assert.equal(answer.ok, true, JSON.stringify(answer));
  });

  await t.test('a person with nothing has nothing to hand over', async () => {
    const result = await boss.run('handover', 'anna', 'carl', '--yes');
    assert.equal(result.code, 1);
    assert.match(result.err, /nothing of theirs/);
  });
});
