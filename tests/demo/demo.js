#!/usr/bin/env node
// demo.js - the main job on real data, through the real programs: a headquarters on loopback, real data
// imported, two branches with servers of their own, whose line to headquarters is cut, and reps at each.
// `./dev demo --help`.
'use strict';
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

const source = process.env.SATCHEL_SOURCE || path.resolve(__dirname, '../..');
process.env.SATCHEL_BIN = process.env.SATCHEL_BIN || path.join(source, 'build/release/bin');
const lib = require('../integration/lib.js');
const { Branch } = require('../integration/branches.js');
const { findSets } = require('./sets.js');
const story = require('./story.js');
const { style, say, step, table, number, bytes, seconds } = require('./terminal.js');

const usage = `usage: ./dev demo [--once] [--data DIR [--map FILE]] [--keep]

Starts headquarters and the servers of two branches on loopback, imports real data, cuts the lines between
them, and lets three reps go on; then shows what was merged, and that all replicas agree.

  --once       end when the story is told (else it stays up, with the commands to try)
  --data DIR   data of your own: one of the known sets, or with --map any other
  --map FILE   a mapping file of 'satchel import' for it
  --keep       leave the data directory when it ends
`;

function readArguments(argv) {
  const options = { once: false, keep: false, data: null, map: null };
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i];
    if (arg === '--help' || arg === '-h') {
      process.stdout.write(usage);
      process.exit(0);
    } else if (arg === '--once' || arg === '--keep') {
      options[arg.slice(2)] = true;
    } else if ((arg === '--data' || arg === '--map') && argv[i + 1]) {
      options[arg.slice(2)] = argv[++i];
    } else {
      process.stderr.write(`./dev demo: does not know '${arg}'\n\n${usage}`);
      process.exit(2);
    }
  }
  return options;
}

async function timed(work) {
  const from = performance.now();
  const result = await work();
  return { result, ms: performance.now() - from };
}

let wrong = 0;
function check(what, right, detail) {
  if (!right) {
    wrong++;
  }
  return [right ? style.green('ok') : style.red('WRONG'), what, detail];
}

async function importSets(console_, found) {
  for (const set of found) {
    step(`Import ${set.title}`);
    const { result, ms } = await timed(() => console_.must('import', '--map', set.map, '--data', set.data));
    say(result.out.trim().split('\n').map((line) => `   ${style.dim(line)}`).join('\n'));
    const exchange = await timed(() => console_.sync());
    say(`   imported in ${seconds(ms)}; ${number(exchange.result.pushed)} groups, ` +
      `${bytes(exchange.result.sent_bytes)}, at headquarters in ${seconds(exchange.ms)}`);
  }
}

// On a replica that got everything over the wire.
async function showTotals(replica, found) {
  step('The totals, by SQL on a fresh replica');
  const rows = [];
  for (const set of found) {
    for (const [what, sql, expected] of set.totals) {
      const value = (await replica.sql(sql))[0].n;
      const digits = Number.isInteger(expected) ? 0 : 2;
      rows.push([set.name, ...check(what, value === expected,
        number(value, digits) + (value === expected ? '' : `, expected ${number(expected, digits)}`))]);
    }
  }
  table(['set', '', 'total', 'value'], rows, [3]);
}

// Three people with access, of two branches: the imported ones where there are enough.
async function choosePeople(server) {
  const { users } = await server.json('user', 'list');
  const branches = new Map();
  for (const user of users.filter((u) => u.branch && u.role !== 'admin')) {
    branches.set(user.branch, [...branches.get(user.branch) || [], user]);
  }
  const large = [...branches].filter(([, people]) => people.length >= 2).sort();
  const other = [...branches].filter(([name]) => name !== large[0]?.[0]).sort();
  let chosen;
  if (large.length && other.length) {
    chosen = [large[0][1][0], large[0][1][1], other[0][1][0]];
  } else {
    await server.must('branch', 'add', 'Bergen office', '--city', 'Bergen');
    await server.must('branch', 'add', 'Oslo office', '--city', 'Oslo');
    chosen = [['anna', 'Bergen office'], ['bert', 'Bergen office'], ['carl', 'Oslo office']]
      .map(([login, branch]) => ({ login, name: login, branch }));
    for (const { login, branch } of chosen) {
      await server.must('user', 'add', login, '--branch', branch, '--name', login);
    }
  }
  for (const { login } of chosen) {
    await server.must('user', 'set', login, '--role', 'rep', '--active', 'yes');
  }
  return Object.fromEntries(chosen.map((user, i) => ['abc'[i],
    { login: user.login, name: user.name || user.login, branch: user.branch }]));
}

// A server for each branch that one of them belongs to, by name.
async function openBranches(server, people) {
  step('Each branch gets a server of its own, in its city');
  const { branches: known } = await server.json('branch', 'list');
  const branches = new Map();
  const rows = [];
  for (const name of new Set(Object.values(people).map((person) => person.branch))) {
    const branch = new Branch(server, name);
    branch.city = known.find((b) => b.name === name)?.city || name;
    branches.set(name, branch);
    const { ms } = await timed(async () => { await branch.open(); await branch.inTouch(); });
    const status = await branch.status();
    rows.push([name, branch.city, `127.0.0.1:${branch.port}`, number(status.records), seconds(ms)]);
  }
  table(['branch', 'city', 'address', 'records', 'enrolled and filled in'], rows, [3, 4]);
  return branches;
}

async function enrolPeople(server, people, branches) {
  step('Three reps of the two branches enrol at headquarters, and go to work at their branch');
  const rows = [];
  for (const [key, person] of Object.entries(people)) {
    person.device = await server.device(person.login, `rep-${key}`, { sync: false });
    const { result, ms } = await timed(() => person.device.sync());
    await branches.get(person.branch).take(person.device);
    const again = await timed(() => person.device.sync());
    rows.push([person.name, person.branch, number(result.records), bytes(result.received_bytes),
      seconds(ms), seconds(again.ms)]);
  }
  table(['rep', 'branch', 'records', 'received', 'time', 'at the branch'], rows, [2, 3, 4, 5]);
  say(`   ${style.dim('$')} satchel server use '${people.a.branch}'`);
}

// The lines are down: each branch is an office of its own.
async function workAtBranches(people, branches, console_, ids) {
  step('The lines to headquarters are cut; they go to their branches');
  const order = [people.a, people.b, people.c, people.a];
  const rows = [];
  for (const [i, person] of order.entries()) {
    const { result, ms } = await timed(() => person.device.sync());
    const status = await person.device.json('status');
    rows.push([person.name, person.branch, i < 3 ? 'brings and takes' : 'takes the rest', number(result.pushed),
      number(status.at_branch), number(status.colleagues), seconds(ms)]);
  }
  table(['who', 'at', '', 'sent', 'at the branch', "colleagues' shown", 'time'], rows, [3, 4, 5, 6]);
  await console_.sync();
  const seen = [];
  const places = [...Object.values(people), { name: 'console', device: console_ }];
  const right = story.atBranches;
  for (const [i, { name, device }] of places.entries()) {
    const shown = await device.show('party', ids.customer);
    const is = [shown.website || '', shown.industry, shown.loyalty_points];
    seen.push([...check(name, JSON.stringify(is) === JSON.stringify(right[i])).slice(0, 2), ...is]);
  }
  say('\n   What each shows of Fjord Trading meanwhile:');
  table(['', 'who', 'website', 'industry', 'points'], seen, [4]);
  for (const [name, branch] of branches) {
    const status = await branch.status();
    say(`   ${name}: ${status.connected ? 'connected' : 'cut off'}, ${number(status.pending)} groups wait to go up`);
  }
}

async function mendLines(branches) {
  step('The lines come back');
  const rows = [];
  for (const [name, branch] of branches) {
    const { pending } = await branch.status();
    const { ms } = await timed(() => branch.mend());
    rows.push([name, number(pending), seconds(ms)]);
  }
  table(['branch', 'groups that waited', 'all decided after'], rows, [1, 2]);
}

async function meet(people, console_) {
  step('All exchange once more');
  const rows = [];
  const order = [...Object.values(people), { name: 'console', device: console_ }];
  for (const round of ['first', 'second']) {
    for (const person of round === 'first' ? order : order.slice(0, 2)) {
      const { result, ms } = await timed(() => person.device.sync());
      rows.push([person.name, round === 'first' ? 'brings and takes' : 'takes the rest',
        number(result.pushed), number(result.pulled), bytes(result.sent_bytes + result.received_bytes),
        number(result.merged), number(result.conflicts), seconds(ms)]);
    }
  }
  table(['who', '', 'sent', 'received', 'bytes', 'merged', 'to decide', 'time'], rows,
    [2, 3, 4, 5, 6, 7]);
}

async function showOutcome(people, ids) {
  step('What was merged: the same on every device');
  const rows = [];
  for (const [what, sql, right] of story.outcome(ids, lib.hexId)) {
    const values = [];
    for (const person of Object.values(people)) {
      values.push((await person.device.sql(sql))[0]?.v);
    }
    rows.push(check(what, values.every(right), [...new Set(values.map(String))].join(' / ')));
  }
  const quiet = [];
  for (const person of Object.values(people)) {
    quiet.push(Boolean(await person.device.show('party', ids.quiet)));
  }
  rows.push(check("the branch's own customer is in the branch alone",
    quiet.join() === 'true,true,false', `${quiet.filter(Boolean).length} of 3 devices`));
  table(['', 'field', 'value'], rows);
}

async function showConflicts(people, ids, branches, console_) {
  step('What conflicted, and who won');
  const conflicts = await people.a.device.conflicts();
  const author = (candidate) => candidate.author?.user || candidate.author?.name ||
    candidate.author?.login || candidate.author?.device || 'somebody';
  table(['record', 'field', 'decided by', 'shown', 'kept beside it'], conflicts.map((conflict) => [
    conflict.title, conflict.field || '(deleted)', conflict.state === 'open' ? style.yellow('you') : conflict.policy,
    conflict.candidates.filter((c) => c.shown).map((c) => `${c.text || 'delete'} (${author(c)})`).join('; '),
    conflict.candidates.filter((c) => !c.shown).map((c) => `${c.text || 'delete'} (${author(c)})`).join('; '),
  ]));
  const lost = conflicts.find((c) => c.record === ids.customer && c.field === 'contact_name');
  const candidate = lost?.candidates.find((c) => !c.shown);
  if (!candidate) {
    table([''], [check('a losing value is kept', false)]);
    return;
  }
  const command = ['conflicts', 'take', lost.id, String(candidate.number)];
  say(`\n   ${style.dim('$')} satchel ${command.join(' ')}`);
  await people.a.device.must(...command);
  await settleAll([...Object.values(people).map((p) => p.device), console_], branches);
  const values = [];
  for (const person of Object.values(people)) {
    values.push((await person.device.show('party', ids.customer)).contact_name);
  }
  table(['', '', 'everywhere'], [check('the losing value, taken back',
    values.every((v) => v === candidate.text), [...new Set(values)].join(' / '))]);
}

// How many records of the customer and of what belongs to it a device has.
async function holding(place, id) {
  const tables = ['contact', 'visit', 'activity'].map((name) =>
    `(SELECT count(*) FROM ${name} WHERE party=${lib.hexId(id)})`);
  const [row] = await place.sql(`SELECT (SELECT count(*) FROM party WHERE id=${lib.hexId(id)})+${tables.join('+')} AS n`);
  return row.n;
}

// From a rep of one city to a rep of the other, who was never to see it.
async function showHandover(server, people, branches, console_) {
  step('A customer changes hands, from one city to the other');
  const [from, to] = [people.a, people.c];
  const id = await from.device.add('party', 'name=Harbour Supplies', 'visibility=owner',
    `owner=${from.login}`, `branch=${from.branch}`);
  for (const name of ['Ida Holm', 'Per Lund']) {
    await from.device.add('contact', `party=${id}`, `name=${name}`);
  }
  await from.device.add('visit', `party=${id}`, 'planned_at=2026-12-01T09:00:00Z');
  const places = [...Object.values(people).map((p) => [p.name, p.device]),
    ...[...branches].map(([name, branch]) => [`server of ${name}`, branch]), ['console', console_],
    ['headquarters', server]];
  const devices = [...Object.values(people).map((p) => p.device), console_];
  await settleAll(devices, branches);
  const before = await Promise.all(places.map(([, place]) => holding(place, id)));
  await from.device.set('party', id, `owner=${to.login}`, `branch=${to.branch}`);
  say(`\n   ${style.dim('$')} satchel set party 'Harbour Supplies' owner=${to.login} branch='${to.branch}'`);
  const { ms } = await timed(() => settleAll(devices, branches));
  const after = await Promise.all(places.map(([, place]) => holding(place, id)));
  const right = [[4, 0], [0, 0], [0, 4], [4, 0], [0, 4], [4, 4], [4, 4]];
  table(['', 'who', 'records of it before', 'after'], places.map(([name], i) => {
    const [mark, text] = check(name, before[i] === right[i][0] && after[i] === right[i][1]);
    return [mark, text, number(before[i]), number(after[i])];
  }), [2, 3]);
  say(`   (${seconds(ms)}, two exchanges of each device)`);
}

// Up from all, and down to all, by way of the branches.
async function settleAll(devices, branches) {
  for (let round = 0; round < 2; round++) {
    for (const device of devices) {
      await device.sync();
    }
    for (const branch of branches.values()) {
      await branch.inTouch();
    }
  }
}

// Of all that everyone shares: the company's bucket, which is number 1.
async function digest(place, tables) {
  const hash = crypto.createHash('sha256');
  let records = 0;
  for (const { name, columns } of tables) {
    const list = columns.map((c) => (['reference', 'blob'].includes(c.type) ? `hex("${c.name}") AS "${c.name}"`
      : `"${c.name}"`)).join(', ');
    const rows = await place.sql(`SELECT hex(id) AS id, ${list} FROM "${name}" WHERE _bucket=1 ORDER BY id`);
    records += rows.length;
    for (const row of rows) {
      hash.update(JSON.stringify([row.id, ...columns.map((c) => row[c.name])]));
    }
  }
  return { records, hash: hash.digest('hex').slice(0, 32) };
}

async function showAgreement(server, people, branches, console_) {
  step('All replicas agree');
  const model = JSON.parse(fs.readFileSync(path.join(source, 'common/model_crm.json'), 'utf8'));
  const rows = [];
  const places = [['headquarters', server],
    ...[...branches].map(([name, branch]) => [`server of ${name}`, branch]), ['console', console_],
    ...Object.values(people).map((person) => [person.name, person.device])];
  let first;
  for (const [name, place] of places) {
    const { records, hash } = await digest(place, model.tables);
    first ??= hash;
    rows.push([...check(name, hash === first, number(records)), hash]);
  }
  table(['', 'replica', 'records shared', 'SHA-256 over them'], rows, [2]);
  for (const [name, place] of [['headquarters', server], ...branches]) {
    const verified = await place.run('verify');
    wrong += verified.code === 0 ? 0 : 1;
    say(`   satcheld verify, ${name}: ${verified.out.trim()}`);
  }
}

function showWhatToTry(server, people, branches, console_, folder) {
  step('It stays up');
  say(`   headquarters   127.0.0.1:${server.port}, data in ${server.data}`);
  for (const [name, branch] of branches) {
    say(`   ${name.padEnd(14)} 127.0.0.1:${branch.port}, data in ${branch.data}`);
  }
  say(`   try            export PATH=${lib.bin}:$PATH`);
  say(`                  satchel --dir ${people.a.device.dir} show party 'Fjord Trading'`);
  say(`                  satchel --dir ${people.a.device.dir} set party 'Fjord Trading' city=Oslo`);
  say(`                  satchel --dir ${people.a.device.dir} sync`);
  say(`                  satchel --dir ${people.c.device.dir} sync --live`);
  say(`                  satchel --dir ${people.c.device.dir} server`);
  say(`                  satcheld status --data ${branches.get(people.a.branch).data}`);
  say(`                  satchel --dir ${console_.dir} conflicts`);
  say(`                  satcheld status --data ${server.data}`);
  say(`                  satcheld backup ${path.join(folder, 'backup.db')} --data ${server.data}`);
  say(`   ${style.dim('Ctrl-C ends it.')}`);
}

async function tell(options, server, folder) {
  const found = findSets(source, options);
  step('Headquarters starts');
  await server.init('--name', 'Fjord & Sons', '--listen', '127.0.0.1:0');
  await server.start();
  say(`   ${server.job.out.split('\n').slice(0, 2).join('\n   ')}`);
  await server.must('user', 'add', 'console', '--role', 'admin', '--name', 'Console');
  const console_ = await server.device('console', 'console');
  await importSets(console_, found);
  const report = await server.device('console', 'report', { sync: false });
  const pulled = await timed(() => report.sync());
  say(`   a fresh replica: ${number(pulled.result.records)} records, ` +
    `${bytes(pulled.result.received_bytes)} in ${seconds(pulled.ms)}`);
  await showTotals(report, found);
  const ids = await story.prepare(console_);
  const people = await choosePeople(server);
  const branches = await openBranches(server, people);
  await enrolPeople(server, people, branches);
  step('They are in the field, without any network, and write');
  const known = await story.play(people, ids, people.a.branch);
  for (const branch of branches.values()) {
    await branch.cut();
  }
  await workAtBranches(people, branches, console_, known);
  await mendLines(branches);
  await meet(people, console_);
  await showOutcome(people, known);
  await showConflicts(people, known, branches, console_);
  await showHandover(server, people, branches, console_);
  await showAgreement(server, people, branches, console_);
  if (!options.once) {
    showWhatToTry(server, people, branches, console_, folder);
  }
}

async function main() {
  const options = readArguments(process.argv.slice(2));
  if (options.keep) {
    process.env.SATCHEL_KEEP = '1';
  }
  if (!lib.programsExist()) {
    process.stderr.write(`the programs are not in ${lib.bin}; run ./dev demo, which builds them\n`);
    process.exit(1);
  }
  const folder = lib.temporaryFolder('demo');
  const server = new lib.Server(folder);
  server.folder = folder;
  let ending = false;
  const end = async (code) => {
    if (!ending) {
      ending = true;
      await server.stop().catch(() => {});
      await lib.cleanUp();
      process.exit(code);
    }
  };
  let told = false; // then a signal is the way to end it
  process.on('SIGINT', () => end(told ? 0 : 130));
  process.on('SIGTERM', () => end(told ? 0 : 143));
  const from = performance.now();
  try {
    await tell(options, server, folder);
  } catch (error) {
    process.stderr.write(`\n${style.red('The demo failed:')} ${error.message}\n${server.job?.err || ''}`);
    await end(1);
  }
  say(`\n${wrong === 0 ? style.green('All is as it should be')
    : style.red(`${wrong} things are wrong`)}, in ${seconds(performance.now() - from)}.`);
  if (options.once || wrong > 0) {
    await end(wrong === 0 ? 0 : 1);
  }
  told = true;
  await server.job.done;
  await lib.sleep(500); // Ctrl-C reaches the server as well
  await end(1);
}

main();
