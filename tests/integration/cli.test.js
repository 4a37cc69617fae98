// ctest: timeout=900
// cli.test.js - the client program as its users meet it: what it prints, for people and as JSON, what it
// says when something is wrong, its exit codes; alone, and with a headquarters.
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const lib = require('./lib.js');

const commands = ['enroll', 'sync', 'status', 'verify', 'add', 'set', 'rm', 'restore', 'show', 'list', 'find',
  'history', 'sql', 'conflicts', 'attention', 'import', 'export', 'tables'];
const folder = lib.temporaryFolder('cli');
let made = 0;

test.after(lib.cleanUp);

// A replica that knows no server.
function alone() {
  const dir = path.join(folder, `replica-${++made}`);
  return {
    dir,
    run: (...args) => lib.run('satchel', ['--dir', dir, '--create', ...args]),
    json: async (...args) =>
      JSON.parse((await lib.run('satchel', ['--dir', dir, '--create', '--json', ...args])).out),
  };
}

test('help and version', async () => {
  const all = await lib.must('satchel', ['help']);
  for (const command of commands) {
    assert.match(all.out, new RegExp(`^  ${command} `, 'm'));
    for (const args of [['help', command], [command, '--help']]) {
      const one = await lib.must('satchel', args);
      assert.match(one.out, new RegExp(`^usage: satchel ${command}`, 'm'));
      assert.match(one.out, /^examples:\n {2}satchel /m);
    }
  }
  assert.match((await lib.must('satchel', ['--version'])).out, /^satchel \d+\.\d+\.\d+\n$/);
  assert.equal((await lib.run('satchel', [])).code, 2);
});

test('a record is added, shown, changed, found, deleted, brought back', async () => {
  const replica = alone();
  const added = await replica.json('add', 'party', 'name=Café Ørn', 'city=Bodø', 'phones=+47 1; +47 2',
    'revenue=1200.50', 'currency=NOK', 'Employees=12');
  assert.equal(added.title, 'Café Ørn');
  assert.equal(added.revision, 0);
  assert.equal(added.pending, 1);
  assert.deepEqual(added.values.phones, ['+47 1', '+47 2']);
  assert.equal(added.values.revenue, '1200.50');
  assert.equal(added.values.employees, 12);
  assert.equal(added.values.do_not_call, false);
  const shown = await replica.run('show', 'party', 'café ørn');
  assert.match(shown.out, /✓ saved here, 1 change is not decided at headquarters yet/);
  assert.match(shown.out, /Revenue +1200\.50 NOK +you/);
  const contact = await replica.json('add', 'contact', 'party=Café Ørn', 'name=Åse');
  assert.equal(contact.titles.party, 'Café Ørn');
  assert.equal(contact.values.party, added.id);
  const changed = await replica.json('set', 'Customers', added.id.slice(0, 23), 'city=Alta', 'currency=');
  assert.equal(changed.values.city, 'Alta');
  assert.equal(changed.values.currency, null);
  assert.equal((await replica.json('find', 'CAFÉ'))[0].found_in, 'name');
  assert.equal((await replica.run('find', 'nowhere at all')).code, 1);
  const unasked = await replica.run('rm', 'party', added.id);
  assert.equal(unasked.code, 2);
  assert.match(unasked.err, /with it: 1 Contact/);
  const removed = await replica.json('rm', 'party', added.id, '--yes');
  assert.deepEqual(removed, { table: 'party', deleted: added.id, with_it: 1 });
  assert.deepEqual(await replica.json('list', 'contact'), []);
  assert.equal((await replica.json('show', 'party', added.id)).deleted, true);
  assert.equal((await replica.json('restore', 'party', added.id)).values.city, 'Alta');
  assert.equal((await replica.json('list', 'contact')).length, 1);
  const history = await replica.json('history', 'party', added.id);
  assert.ok(history.some((event) => event.kind === 'waiting' && event.author.own));
});

test('lists: conditions, order, columns, tables for people', async () => {
  const replica = alone();
  for (const [name, amount, stage] of [['Small', '5', 'won'], ['Large', '1000.25', 'won'],
    ['Middle', '70', 'lost'], ['Open', '', 'prospecting']]) {
    await replica.json('add', 'deal', `name=${name}`, `amount=${amount}`, 'currency=EUR', `stage=${stage}`);
  }
  const names = async (...args) => (await replica.json('list', 'deal', ...args)).map((r) => r.title);
  assert.deepEqual(await names('--order', 'amount', '--desc', '--limit', '2'), ['Large', 'Middle']);
  assert.deepEqual(await names('amount', '>=', '70', '--order', 'amount'), ['Middle', 'Large']);
  assert.deepEqual(await names('stage=won', 'amount<10'), ['Small']);
  assert.deepEqual(await names('amount='), ['Open']);
  assert.deepEqual(await names('name~MID'), ['Middle']);
  assert.deepEqual(await names('stage!=won', 'amount!=', '--order', 'name'), ['Middle']);
  const table = await replica.run('list', 'deal', '--order', 'amount', '--columns', 'name,amount');
  assert.match(table.out, /^Name +Amount {2}/);
  const lines = table.out.split('\n').filter((line) => /EUR/.test(line));
  assert.deepEqual(lines.map((line) => line.indexOf('EUR')), Array(3).fill(lines[0].indexOf('EUR')));
  assert.equal((await replica.run('list', 'deal', 'name=nobody')).code, 1);
});

test('mistakes say what, where, and what to do next; exit codes', async () => {
  const replica = alone();
  await replica.json('add', 'party', 'name=A');
  const cases = [
    [['lst'], 2, /no command 'lst'; did you mean 'list'/],
    [['list', 'partyy'], 2, /no table 'partyy'; did you mean 'party'/],
    [['list', 'custmers'], 2, /did you mean 'party'/],
    [['list', 'party', 'nme=x'], 2, /party has no column 'nme'; did you mean 'name'/],
    [['list', 'party', '--limt', '3'], 2, /no option --limt; did you mean --limit/],
    [['list', 'party', '--limit', 'x'], 2, /--limit needs a number, not 'x'/],
    [['list', 'party', 'name'], 2, /'name' is no condition/],
    [['add', 'party', 'name'], 2, /not of the form column=value/],
    [['add', 'party'], 2, /an argument is missing/],
    [['add', 'party', 'city=Oslo'], 2, /party\.name/],
    [['add', 'task', 'title=x', 'due=soon'], 2, /task\.due.*soon/],
    [['add', 'deal', 'name=x', 'party=Nobody'], 1, /party.*Nobody/],
    [['add', 'party', 'name=x', 'importance=huge'], 2, /importance.*huge/],
    [['show', 'party', 'Nobody'], 1, /no 'Nobody' here/],
    [['set', 'party', 'Nobody', 'name=x'], 1, /no 'Nobody' here/],
    [['sql', 'DELETE FROM party'], 3, /only reading/],
    [['sql', 'SELEC'], 2, /syntax error/],
    [['enroll', 'nonsense'], 2, /ticket/],
    [['sync'], 6, /not enrolled.*enroll TICKET/],
    [['import', '/nowhere.csv'], 2, /No such file/],
    [['conflicts', 'take', 'x'], 2, /needs the conflict's id and a number/],
    [['attention', 'mend', '1'], 2, /none of fix, retry, discard/],
    [['attention', 'retry', '7'], 1, /./],
    [['export'], 2, /name a table, or --all/],
    [['--color', 'blue', 'status'], 2, /auto, always or never/],
  ];
  for (const [args, code, message] of cases) {
    const result = await replica.run(...args);
    assert.equal(result.code, code, `${args.join(' ')}: ${result.err}`);
    assert.match(result.err, message);
    const answer = JSON.parse((await replica.run('--json', ...args)).out);
    assert.equal(answer.error.exit, code);
    assert.match(answer.error.message, message);
  }
  const nothing = await lib.run('satchel', ['--dir', path.join(folder, 'empty'), 'status']);
  assert.equal(nothing.code, 1);
  assert.match(nothing.err, /holds no replica.*enroll TICKET/);
});

test('export gives what import reads', async () => {
  const [one, two] = [alone(), alone()];
  await one.json('add', 'party', 'name=Two\nlines, "quoted"', 'code=00017', 'phones=+47 1; +47 2');
  const file = path.join(folder, 'party.csv');
  await one.run('export', 'party', '--out', file);
  assert.equal((await two.json('import', file)).total.inserted, 1);
  const [row] = await two.json('sql', 'SELECT name, code, phones FROM party');
  assert.deepEqual(row, { name: 'Two\nlines, "quoted"', code: '00017', phones: '["+47 1","+47 2"]' });
  const lines = (await one.run('export', '--all', '--format', 'jsonl')).out.trim().split('\n');
  assert.deepEqual(lines.map((line) => JSON.parse(line)._table), ['party']);
});

test('with a headquarters: exchange, conflict, taking back, attention', async (t) => {
  const server = new lib.Server(lib.temporaryFolder('cli-hq'));
  t.after(() => server.kill());
  await server.init('--name', 'Headquarters', '--listen', '127.0.0.1:0');
  await server.start();
  await server.must('user', 'add', 'ida', '--role', 'admin', '--name', 'Ida');
  await server.must('user', 'add', 'rolf', '--role', 'rep', '--name', 'Rolf');
  const ida = await server.device('ida', 'desk');
  const rolf = await server.device('rolf', 'phone');
  await ida.must('add', 'party', 'name=Acme', 'industry=Fish', 'city=Oslo',
    'country=Norway');
  await ida.must('add', 'product', 'name=Net', 'code=N1');
  assert.match((await ida.must('status')).out, /2 changes wait to be sent/);
  assert.match((await ida.must('sync')).out, /^sent 2 changes, received .* 0 waiting\n/);
  await rolf.sync();
  assert.match((await rolf.must('show', 'party', 'Acme')).out, /✓✓✓ at headquarters[^]*Fish +Ida \(desk\)/);

  await rolf.must('set', 'party', 'Acme', 'city=Bergen');
  await ida.must('set', 'party', 'Acme', 'city=Tromso');
  await lib.settle(rolf, ida, rolf);
  const [conflict] = await rolf.json('conflicts');
  assert.equal(conflict.field, 'address');
  assert.match(conflict.original, /city: Oslo.*country: Norway/);
  const cities = conflict.candidates.map((candidate) => candidate.values.city);
  assert.deepEqual([...cities].sort(), ['Bergen', 'Tromso']);
  assert.ok(conflict.candidates.every((one) => Object.keys(one.values).length === 1), 'what differs');
  const told = (await rolf.must('conflicts', conflict.id.slice(0, 8))).out;
  assert.match(told, /original city: Oslo\n/);
  assert.match(told, /yours +city: Bergen\n +Rolf \(phone\), \d{4}-/);
  assert.match(told, /theirs +city: Tromso\n +Ida \(desk\), .*<- shown now/);
  await rolf.must('conflicts', 'take', conflict.id, String(cities.indexOf('Bergen') + 1));
  await lib.settle(rolf, ida);
  assert.equal(await ida.one('SELECT city FROM party'), 'Bergen');
  assert.deepEqual(await ida.json('conflicts'), []);

  await rolf.must('set', 'product', 'N1', 'name=Mine');
  const refused = await rolf.run('sync');
  assert.equal(refused.code, 3);
  assert.match(refused.out, /1 change needs your attention/);
  const [parked] = await rolf.attention();
  assert.deepEqual(parked.mutations.map((m) => [m.op, m.table, m.values]),
    [['change', 'product', { name: 'Mine' }]]);
  assert.equal((await rolf.run('attention')).code, 3);
  assert.equal(await rolf.one('SELECT name FROM product'), 'Net');
  await rolf.must('attention', 'discard', String(parked.id));
  assert.equal((await rolf.run('attention')).code, 0);

  const live = rolf.live();
  await live.saw('caught_up');
  await ida.must('set', 'party', 'Acme', 'city=Bodo');
  const before = live.events().filter((event) => event.event === 'checkpoint').length;
  await ida.sync();
  await live.saw('checkpoint', before + 1);
  assert.equal(await rolf.one('SELECT city FROM party'), 'Bodo', 'read beside the live program');
  const busy = await rolf.run('set', 'party', 'Acme', 'city=Alta');
  assert.equal(busy.code, 5);
  assert.match(busy.err, /end the other program/);
  live.kill('SIGTERM');
  assert.equal((await live.done).code, 0);

  await server.stop();
  const offline = await rolf.run('sync');
  assert.equal(offline.code, 4);
  assert.match(offline.err, /safe on this device/);
  assert.ok(fs.existsSync(path.join(rolf.dir, 'replica.db')));
});
