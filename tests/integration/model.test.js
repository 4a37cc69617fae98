// ctest: timeout=600
// model.test.js - the data model changes in the field: real programs, a branch, devices live and away.
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const lib = require('./lib.js');
const { openBranch } = require('./branches.js');

test.after(lib.cleanUp);

const FIELDS = {
  extends: 'crm',
  tables: [
    { name: 'party', columns: [
      { name: 'shoe_size', type: 'integer', min: 1, max: 99, label: { en: 'Shoe size', ru: 'Размер обуви' } },
      { name: 'grade', type: 'enum', symbols: ['plain', 'silver', 'gold'], default: 'plain' }] },
    { name: 'gift', bucket: 'inherit', parent: 'party', title: 'what', columns: [
      { name: 'party', type: 'reference', target: 'party', required: true },
      { name: 'what', type: 'text', required: true }] }],
};

function file(server, name, content) {
  const at = path.join(server.folder, name);
  fs.writeFileSync(at, typeof content === 'string' ? content : JSON.stringify(content));
  return at;
}

const columns = async (device, table) =>
  (await device.json('tables', table)).columns.map((column) => column.name);

async function hasColumn(place, table, column) {
  const rows = await place.sql(`SELECT name FROM pragma_table_info('${table}')`).catch(() => []);
  return rows.some((row) => row.name === column);
}

test('show, check, dry run; refusals say why', async (t) => {
  const hq = await lib.headquarters('model');
  t.after(() => hq.stop());
  const fields = file(hq, 'fields.json', FIELDS);
  const before = await hq.json('model', 'show');
  assert.equal(before.name, 'crm');
  assert.match((await hq.must('model', 'show')).out, /party \(\d+\)[^]*name +text +lww/);

  const check = await hq.json('model', 'check', fields);
  assert.equal(check.ok, true);
  assert.deepEqual(check.changes.filter((c) => !c.text.startsWith('the version')).map((c) => c.text), [
    'party.shoe_size: a new column (integer)', 'party.grade: a new column (enum)', 'gift: a new table of 2 columns']);
  const dry = await hq.json('model', 'extend', fields, '--dry-run');
  assert.equal(dry.version, before.version + 1);
  assert.equal((await hq.json('model', 'show')).version, before.version);

  for (const [change, why] of [
    [{ ...before, version: 9, system: undefined, tables: before.tables.map((table) => (table.name === 'party'
      ? { ...table, columns: table.columns.filter((column) => column.name !== 'fax') } : table)) },
    /party\.fax: the column .* is gone/],
    [{ extends: 'crm', tables: [{ name: 'party', columns: [{ name: 'x', type: 'text', required: true }] }] },
      /party\.x.*default/],
    [{ extends: 'crm', tables: [{ name: 'party', columns: [{ name: 'name', max: 3 }] }] }, /party\.name.*narrower/],
    ['{', /line 1/]]) {
    const bad = file(hq, 'bad.json', change);
    const result = await hq.run('model', 'extend', bad);
    assert.equal(result.code, 3, result.out);
    assert.match(result.err, why);
  }
  assert.equal((await hq.run('model', 'extend', '/nowhere')).code, 1);
  assert.equal((await hq.run('model', 'grow', fields)).code, 3);
  assert.equal((await hq.json('model', 'show')).version, before.version);
});

test('headquarters, a branch and devices take a new model over while they work', async (t) => {
  const hq = await lib.headquarters('extend');
  const boss = await hq.device('boss');
  const acme = await boss.add('party', 'name=Acme', 'visibility=company', 'loyalty_points=5');
  await boss.sync();
  const north = await openBranch(hq, 'North');
  t.after(async () => {
    await north.close();
    await hq.stop();
  });
  const anna = await north.deviceOf('anna');
  const bert = await north.deviceOf('bert');
  const away = await hq.device('carl');
  const early = await away.add('party', 'name=Early', 'visibility=company'); // a group of the old model, not sent
  const live = bert.live();
  await live.saw('caught_up');


  await hq.must('model', 'extend', file(hq, 'fields.json', FIELDS));
  assert.ok(await hasColumn(hq, 'party', 'shoe_size'));
  assert.equal((await hq.json('model', 'show')).version, 2);
  assert.equal((await hq.json('verify')).ok, true);
  assert.match(JSON.stringify(await hq.sql("SELECT CAST(substr(v,33) AS TEXT) AS t FROM satchel_audit")), /\\"model\\"/);

  await lib.until('the branch learns it', () => hasColumn(north, 'party', 'shoe_size'));
  await live.saw('model');
  await live.saw('caught_up', 2);
  assert.ok((await columns(bert, 'party')).includes('shoe_size'));

  await boss.sync(); // learns, and is up to date with one command
  assert.ok((await columns(boss, 'gift')).includes('what'));
  await boss.set('party', acme, 'shoe_size=44', 'grade=gold');
  const gift = await boss.add('gift', 'party=Acme', 'what=Hat');
  await boss.sync();
  await lib.until('it reaches the live device of the branch', async () =>
    (await bert.show('party', acme))?.shoe_size === 44 && (await bert.show('gift', gift))?.what === 'Hat');
  live.kill('SIGTERM');
  await live.done;

  await away.sync(); // its old group is decided
  await lib.settle(away, anna, boss);
  assert.equal((await boss.show('party', early)).grade, 'plain');
  assert.equal((await away.show('party', acme)).shoe_size, 44);

  fs.writeFileSync(path.join(hq.folder, 'more.csv'), 'code,name,shoe_size\nS1,Sue,38\n');
  await boss.must('import', path.join(hq.folder, 'more.csv'), '--table', 'party', '--key', 'code');
  await lib.settle(boss, anna);
  const exported = await anna.must('export', 'party');
  assert.match(exported.out, /shoe_size/);
  assert.match((await anna.must('list', 'party', '--columns', 'name,shoe_size')).out, /Sue +38/);
  assert.equal((await hq.json('verify')).ok, true);
  assert.equal((await north.json('verify')).ok, true);
  const fresh = await hq.device('boss', 'boss-2'); // a first sync
  assert.equal((await fresh.show('party', acme)).grade, 'gold');
  assert.equal((await fresh.json('verify')).problems?.length ?? 0, 0);
});

test('extended while it is stopped; a device of the later model at a restored headquarters loses nothing', async (t) => {
  const hq = await lib.headquarters('behind');
  t.after(() => hq.stop());
  const anna = await hq.device('anna');
  const boss = await hq.device('boss');
  const backup = path.join(hq.folder, 'old.db');
  await hq.must('backup', backup);
  await hq.stop();
  const fields = file(hq, 'fields.json', FIELDS);
  await hq.must('model', 'extend', fields);
  assert.equal((await hq.json('model', 'show')).version, 2);
  await hq.start();
  await anna.sync();
  const acme = await anna.add('party', 'name=Acme', 'visibility=company');
  await anna.set('party', acme, 'shoe_size=41');
  await lib.settle(anna, boss);
  assert.equal((await boss.show('party', acme)).shoe_size, 41);

  await hq.stop();
  await hq.must('restore', backup, '--force');
  assert.equal((await hq.json('model', 'show')).version, 1);
  await hq.start();
  await anna.sync();
  const status = await anna.json('status');
  assert.equal(status.server_model, 'earlier', JSON.stringify(status));
  assert.equal((await anna.show('party', acme)).shoe_size, 41);
  await lib.until('it waits', async () => (await hq.json('status')).waiting > 0);
  assert.match((await hq.must('status')).out, /later model/);
  assert.equal((await anna.attention()).length, 0);

  await hq.must('model', 'extend', fields);
  await lib.settle(anna, boss);
  assert.equal((await boss.show('party', acme)).shoe_size, 41);
  assert.equal((await hq.json('status')).waiting, 0);
  assert.equal((await anna.json('status')).server_model, 'same');
  assert.equal((await anna.json('status')).saved_here, 0);
  assert.equal((await hq.json('verify')).ok, true);
});

test('a device takes any model over at its first sync', async (t) => {
  const folder = lib.temporaryFolder('own');
  const server = new lib.Server(folder);
  server.folder = folder;
  const model = file(server, 'own.json', { name: 'own', version: 1, tables: [
    { id: 16, name: 'party', bucket: 'company', title: 'name', columns: [
      { id: 1, name: 'name', type: 'text', key: true }, { id: 2, name: 'city', type: 'integer' }] }] });
  await server.init('--model', model);
  await server.start();
  t.after(() => server.stop());
  await server.must('user', 'add', 'boss', '--role', 'admin');
  const boss = await server.device('boss');
  assert.deepEqual(await columns(boss, 'party'), ['name', 'city']);
  await boss.add('party', 'name=Acme', 'city=7');
  await boss.sync();
  assert.equal((await boss.json('status')).saved_here, 0);
});
