// Teams and substitutes with real programs: the commands, what each person's replica holds, and what is left in the
// files of one who has lost a right. ctest: timeout=300
'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const lib = require('./lib.js');

const CUSTOMERS = 20;
const CANARY = 'canary-tsq';

test.after(lib.cleanUp);

const holds = async (device) => [await device.one('SELECT count(*) FROM party'),
  await device.one('SELECT count(*) FROM contact')];
const all = [CUSTOMERS, CUSTOMERS];
const none = [0, 0];

async function refused(server, code, message, ...args) {
  const result = await lib.run('satcheld', [...args, '--data', server.data]);
  assert.equal(result.code, code, `satcheld ${args.join(' ')}: ${result.out}${result.err}`);
  assert.match(result.err, message);
}

test('a team, and who stands in for whom', async (t) => {
  const server = await lib.headquarters('teams');
  t.after(() => server.kill());
  const [boss, anna, bert, carl] = [await server.device('boss'), await server.device('anna'),
    await server.device('bert'), await server.device('carl')];

  await t.test('the commands say what they did, and what is wrong', async () => {
    assert.match((await server.must('team', 'add', 'Key accounts', '--branch', 'North')).out, /team join/);
    await server.must('team', 'join', 'Key accounts', 'anna');
    await server.must('team', 'join', 'Key accounts', 'carl');
    assert.match((await server.must('team', 'list')).out, /Key accounts +North +0 +(anna, carl|carl, anna)/);
    const [team] = (await server.json('team', 'list')).teams;
    assert.deepEqual([team.name, team.branch, team.records, [...team.members].sort()],
      ['Key accounts', 'North', 0, ['anna', 'carl']]);
    await refused(server, 3, /of that team already/, 'team', 'join', 'Key accounts', 'anna');
    await refused(server, 3, /team of that name already/, 'team', 'add', 'Key accounts');
    await refused(server, 1, /no team with the name 'Nobody'/, 'team', 'join', 'Nobody', 'anna');
    await refused(server, 1, /no user with the login 'dora'/, 'team', 'join', 'Key accounts', 'dora');
    await refused(server, 1, /no branch with the name 'Mars'/, 'team', 'add', 'Far', '--branch', 'Mars');
    await refused(server, 1, /not of that team/, 'team', 'leave', 'Key accounts', 'bert');
    await refused(server, 2, /say 'add NAME'/, 'team', 'join', 'Key accounts');
    await refused(server, 2, /say 'add NAME'/, 'team', 'dissolve', 'Key accounts');
    await refused(server, 2, /not a day/, 'user', 'substitute', 'anna', 'bert', '--until', 'tomorrow');
    await refused(server, 2, /substitute LOGIN/, 'user', 'substitute', 'anna', 'bert');
    await refused(server, 2, /substitute LOGIN/, 'user', 'substitute', 'anna', '--until', '2099-01-01');
    await refused(server, 2, /substitute LOGIN/, 'user', 'set', 'anna', '--end');
    await refused(server, 3, /still to come/, 'user', 'substitute', 'anna', 'bert', '--until', '2001-01-01');
    await refused(server, 3, /for themselves/, 'user', 'substitute', 'anna', 'anna', '--until', '2099-01-01');
    await refused(server, 1, /nobody stands in/, 'user', 'substitute', 'anna', '--end');
    assert.match((await lib.run('satcheld', ['team', '--help'])).out, /named lists of people/);
    assert.match((await lib.run('satcheld', ['user', '--help'])).out, /--until DATE/);
  });

  await t.test('a customer is given to the team by its name', async () => {
    await lib.settle(anna, carl, bert);
    for (let i = 0; i < CUSTOMERS; i++) {
      const id = await anna.add('party', `name=${CANARY} ${i}`, 'visibility=owner', 'owner=anna',
        `notes=${`${CANARY} likes long letters. `.repeat(i * 10)}`);
      await anna.add('contact', `party=${id}`, `name=${CANARY} person ${i}`);
      await anna.must('set', 'party', id, 'visibility=team', 'team=Key accounts');
    }
    await lib.settle(anna, carl, bert);
    assert.deepEqual(await anna.attention(), []);
    assert.deepEqual(await holds(carl), all);
    assert.deepEqual(await holds(bert), none);
    assert.equal((await server.json('team', 'list')).teams[0].records, CUSTOMERS);
    await refused(server, 3, /20 records are this team's alone/, 'team', 'remove', 'Key accounts');
    assert.equal(bert.countOf(CANARY), 0);
  });

  await t.test('an owner who is not of the team is refused, and told so', async () => {
    await anna.must('set', 'party', `${CANARY} 3`, 'owner=bert');
    await lib.settle(anna);
    const [parked] = await anna.attention();
    assert.match(parked.reason_text, /does not belong to that team/);
    await anna.must('attention', 'discard', parked.id);
    await lib.settle(anna, bert);
    assert.deepEqual(await holds(bert), none);
  });

  await t.test('who leaves, connected, keeps nothing', async () => {
    const live = carl.live();
    await live.saw('caught_up');
    assert.ok(carl.countOf(CANARY) > CUSTOMERS);
    await server.must('team', 'leave', 'Key accounts', 'carl');
    await live.saw('caught_up', 2); // told at once: it has come back
    live.kill('SIGTERM');
    await live.done;
    assert.deepEqual(await holds(carl), none);
    assert.equal(carl.countOf(CANARY), 0);
    assert.deepEqual(await holds(anna), all);
  });

  await t.test('a substitute sees what is the person’s, until the time is over', async () => {
    const until = new Date(Date.now() + 12000).toISOString();
    const said = await server.must('user', 'substitute', 'anna', 'bert', '--until', until);
    assert.match(said.out, /bert stands in for anna until .* UTC/);
    assert.match((await server.must('user', 'list')).out, /anna .*bert until/);
    await bert.sync();
    assert.deepEqual(await holds(bert), all);
    await bert.must('set', 'party', `${CANARY} 5`, 'website=bert.example');
    const live = bert.live();
    await live.saw('caught_up');
    await live.saw('caught_up', 2, 40000); // headquarters' clock has ended it
    live.kill('SIGTERM');
    await live.done;
    assert.deepEqual(await holds(bert), none);
    assert.equal(bert.countOf(CANARY), 0);
    await anna.sync();
    assert.equal(await anna.one(`SELECT website FROM party WHERE name='${CANARY} 5'`), 'bert.example');
    const users = (await server.json('user', 'list')).users;
    assert.equal(users.find((user) => user.login === 'anna').substitute, undefined);
  });

  await t.test('it ends when somebody says so', async () => {
    await server.must('user', 'substitute', 'anna', 'bert', '--until', '2099-12-31');
    const anna_ = (await server.json('user', 'list')).users.find((user) => user.login === 'anna');
    assert.equal(anna_.substitute, 'bert');
    assert.equal(anna_.substitute_until_ms, Date.UTC(2100, 0, 1)); // the day counts to its end
    await bert.sync();
    assert.deepEqual(await holds(bert), all);
    await server.must('user', 'substitute', 'anna', '--end');
    await bert.sync();
    assert.deepEqual(await holds(bert), none);
    assert.equal(bert.countOf(CANARY), 0);
  });

  await t.test('a portfolio goes on, counted before', async () => {
    await server.must('team', 'join', 'Key accounts', 'bert');
    await lib.settle(boss, bert);
    const plan = await boss.json('handover', 'anna', 'bert', '--dry-run');
    assert.deepEqual([plan.done, plan.tables.party], [false, CUSTOMERS]);
    await boss.must('handover', 'anna', 'bert', '--yes');
    await lib.settle(boss, bert, anna);
    assert.deepEqual(await holds(bert), all);
    const left = await server.must('team', 'leave', 'Key accounts', 'bert');
    assert.match(left.out, /bert still owns 20 records/);
    await bert.sync();
    assert.deepEqual(await holds(bert), none);
  });

  await t.test('the books are in order', async () => {
    const answer = await server.json('verify');
    assert.equal(answer.ok, true, JSON.stringify(answer));
  });
});
