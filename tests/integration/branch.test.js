// ctest: timeout=300
// branch.test.js - two branches with servers of their own, reps at each: real programs, TLS, SQLite, and lines to
// headquarters that are cut.
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const lib = require('./lib.js');
const { Branch, openBranch, latencyProgram } = require('./branches.js');

test.after(lib.cleanUp);

const COLUMNS = ['name', 'city', 'website', 'tax_id', 'notes', 'loyalty_points'];

async function agree(devices, table = 'party', columns = COLUMNS) {
  const texts = [];
  for (const device of devices) {
    texts.push(await lib.contents(device, table, columns));
  }
  for (const text of texts) {
    assert.equal(text, texts[0]);
  }
}

async function outboxesAreEmpty(devices) {
  for (const device of devices) {
    const status = await device.json('status');
    assert.deepEqual([status.saved_here, status.at_branch, status.at_server, status.colleagues], [0, 0, 0, 0],
      JSON.stringify(status));
  }
}

const value = async (device, id, column) => (await device.show('party', id))?.[column];

test('two branches, whose lines are cut', async (t) => {
  const hq = await lib.headquarters('branch');
  const boss = await hq.device('boss');
  const shared = await boss.add('party', 'name=Acme', 'visibility=company', 'loyalty_points=100');
  await boss.sync();
  const north = await openBranch(hq, 'North');
  const south = await openBranch(hq, 'South');
  t.after(async () => {
    await north.close();
    await south.close();
    await hq.stop();
  });
  const [anna, bert, carl] = [await north.deviceOf('anna'), await north.deviceOf('bert'),
    await south.deviceOf('carl')];
  const all = [anna, bert, carl, boss];

  await t.test('what is administered at headquarters is refused at a branch, saying where', async () => {
    for (const args of [['user', 'list'], ['enroll', 'anna'], ['branch', 'list'], ['devices'], ['revoke', 'x'],
      ['backup', `${north.data}.bak`]]) {
      const result = await north.run(...args);
      assert.equal(result.code, 3, result.out);
      assert.match(result.err, /headquarters/);
    }
    assert.equal((await north.json('verify')).ok, true);
    assert.equal(fs.statSync(`${north.data}/upstream.json`).mode & 0o777, 0o600);
  });

  await t.test('a device lists the servers, and which is in use', async () => {
    const servers = await anna.json('server');
    assert.deepEqual(servers.map((s) => [s.name, s.city, s.in_use]),
      [['headquarters', '', false], ['North', 'Oslo', true], ['South', 'Rome', false]]);
    assert.equal((await anna.run('server', 'use', 'West')).code, 1);
    const status = await anna.json('status');
    assert.equal(status.server_is_branch, true);
  });

  await t.test('changes go through the branches', async () => {
    await anna.set('party', shared, 'city=Bergen');
    await anna.sync();
    await lib.until('it is at headquarters', async () => {
      await boss.sync();
      return (await value(boss, shared, 'city')) === 'Bergen';
    });
    await lib.until('it is at the other branch', async () => {
      await carl.sync();
      return (await value(carl, shared, 'city')) === 'Bergen';
    });
  });

  await t.test('what two of an office wrote at once is shown as a conflict so far, and can be settled there', async () => {
    const one = await anna.add('party', 'name=Bolt', 'visibility=company');
    await anna.sync();
    await lib.until('the colleague has it', async () => {
      await anna.sync();
      await bert.sync();
      const statuses = [await anna.json('status'), await bert.json('status')];
      return (await value(bert, one, 'name')) === 'Bolt' && statuses.every((x) => x.at_branch + x.colleagues === 0);
    });
    await north.cut();
    await anna.set('party', one, 'tax_id=11', 'notes=hers');
    await bert.set('party', one, 'tax_id=22', 'notes=his');
    await anna.sync();
    await bert.sync();
    await anna.sync();
    const seen = await anna.json('conflicts');
    assert.deepEqual(seen.map((c) => [c.field, c.provisional, c.candidates.map((x) => x.text).sort()]).sort(),
      [['notes', true, ['hers', 'his']], ['tax_id', true, ['11', '22']]]);
    assert.deepEqual((await bert.json('conflicts')).map((c) => c.id).sort(), seen.map((c) => c.id).sort());
    const taxId = seen.find((c) => c.field === 'tax_id');
    assert.match((await anna.must('conflicts')).out, /so far/);
    const number = taxId.candidates.find((x) => x.text === '11').number;
    assert.equal((await anna.run('conflicts', 'take', taxId.id, String(number))).code, 0);
    assert.deepEqual((await anna.json('conflicts')).map((c) => c.field), ['notes']);
    await anna.sync();
    await bert.sync();
    assert.equal(await value(bert, one, 'tax_id'), '11');
    await north.mend();
    await lib.until('headquarters has decided', async () => {
      await anna.sync();
      const status = await anna.json('status');
      return status.at_branch + status.at_server + status.saved_here + status.colleagues === 0;
    });
    const decided = await anna.json('conflicts');
    assert.deepEqual(decided.map((c) => [c.field, c.provisional]), [['notes', false]]);
    assert.equal(decided[0].id, seen.find((c) => c.field === 'notes').id);
    assert.equal(await value(anna, one, 'tax_id'), '11');
    assert.equal((await anna.run('conflicts', taxId.id.replace(/^./, (c) => (c === '0' ? '1' : '0')))).code, 1);
  });

  let fresh;
  await t.test('a branch that is cut off is a working office', async () => {
    await north.cut();
    await south.cut();
    await anna.set('party', shared, 'website=acme.example', 'loyalty_points=105');
    fresh = await anna.add('party', 'name=Fresh', 'visibility=company');
    await anna.sync();
    const status = await anna.json('status');
    assert.deepEqual([status.saved_here, status.at_branch, status.at_server], [0, 2, 0], JSON.stringify(status));
    await bert.sync();
    assert.equal(await value(bert, shared, 'website'), 'acme.example');
    assert.equal(await value(bert, fresh, 'name'), 'Fresh');
    assert.equal((await bert.json('status')).colleagues, 2);
    await bert.set('party', fresh, 'name=Fresh Ltd');
    await bert.set('party', shared, 'tax_id=777', 'loyalty_points=112');
    await bert.sync();
    await anna.sync();
    assert.equal(await value(anna, fresh, 'name'), 'Fresh Ltd');
    assert.equal(await value(anna, shared, 'tax_id'), '777');
    await carl.set('party', shared, 'city=Rome', 'loyalty_points=103');
    await carl.sync();
    assert.equal((await value(carl, fresh, 'name')), undefined);
    assert.equal((await north.status()).pending, 4);
    assert.equal((await south.status()).pending, 1);
    await boss.sync();
    assert.equal(await value(boss, fresh, 'name'), undefined);
  });

  await t.test('killed in the middle, it has all that it acknowledged', async () => {
    await north.kill();
    await anna.set('party', fresh, 'notes=while the server was down');
    await north.start();
    assert.equal((await north.status()).pending, 4);
    await lib.settle(anna, bert);
    assert.equal(await value(bert, fresh, 'notes'), 'while the server was down');
    assert.equal((await north.status()).pending, 5);
  });

  await t.test('the lines come back, and all agree', async () => {
    await north.mend();
    await south.mend();
    await lib.settle(...all);
    await agree(all);
    await outboxesAreEmpty(all);
    assert.equal(await value(boss, shared, 'loyalty_points'), 100 + 5 + 7 + 3);
    assert.equal(await value(boss, fresh, 'name'), 'Fresh Ltd');
    for (const place of [hq, north, south]) {
      const answer = await place.json('verify');
      assert.equal(answer.ok, true, JSON.stringify(answer));
    }
  });

  await t.test('a rep travels to the other branch, and to headquarters, and goes on', async () => {
    await north.cut();
    await anna.set('party', shared, 'notes=on the way');
    await anna.sync(); // only the branch at home has it
    await anna.set('party', fresh, 'city=Stavanger'); // nobody has it
    await anna.must('server', 'use', 'South');
    await anna.sync();
    assert.equal(await value(anna, shared, 'notes'), 'on the way');
    await lib.until('it goes up from the other branch', async () => {
      await boss.sync();
      return (await value(boss, fresh, 'city')) === 'Stavanger' &&
        (await value(boss, shared, 'notes')) === 'on the way';
    });
    await anna.must('server', 'use', 'headquarters');
    await anna.set('party', fresh, 'website=fresh.example');
    await anna.sync();
    await boss.sync();
    assert.equal(await value(boss, fresh, 'website'), 'fresh.example');
    await anna.must('server', 'use', 'north'); // whichever case
    await north.mend();
    await lib.settle(...all);
    await agree(all);
    await outboxesAreEmpty(all);
  });

  await t.test('a customer is handed to the other city', async () => {
    const own = await anna.add('party', 'name=Harbour', 'visibility=owner', 'owner=anna', 'branch=North');
    const contact = await anna.add('contact', `party=${own}`, 'name=Ida');
    await anna.sync();
    await north.inTouch();
    await boss.sync();
    assert.equal((await boss.json('handover', 'anna', 'carl', '--yes')).done, true);
    await boss.sync();
    await lib.until('it is gone here and there is there', async () => {
      await anna.sync();
      await carl.sync();
      return !(await anna.show('party', own)) && (await carl.show('contact', contact));
    });
    assert.equal(await anna.show('contact', contact), null);
    assert.equal((await carl.show('party', own)).name, 'Harbour');
    assert.deepEqual(await north.sql(`SELECT name FROM party WHERE id=${lib.hexId(own)}`), []);
    await outboxesAreEmpty([anna, carl]);
    for (const place of [hq, north, south]) { // a departure in the log is no missing record
      const answer = await place.json('verify');
      assert.equal(answer.ok, true, JSON.stringify(answer));
    }
  });

  await t.test('a revoked device is refused within a second of the news', async () => {
    const lost = await north.deviceOf('bert', 'lost');
    const live = lost.live();
    await live.saw('caught_up');
    await hq.must('revoke', 'lost');
    const told = performance.now();
    const end = await live.done;
    t.diagnostic(`refused ${Math.round(performance.now() - told)} ms after the command had ended`);
    assert.equal(end.code, 6, end.err);
    assert.ok(performance.now() - told < 1000);
    assert.equal(fs.existsSync(`${lost.dir}/replica.db`), false);
  });
});

test('what one device writes another one of the branch sees at once, with the line cut', { skip: !fs.existsSync(latencyProgram) },
  async (t) => {
    const hq = await lib.headquarters('branch-latency');
    const boss = await hq.device('boss');
    const id = await boss.add('party', 'name=Acme', 'visibility=company');
    await boss.sync();
    const north = new Branch(hq, 'North');
    north.host = 'localhost'; // a name, which may have an address that nobody listens on
    await north.open();
    await north.inTouch();
    t.after(async () => {
      await north.close();
      await hq.stop();
    });
    const [anna, bert] = [await north.deviceOf('anna'), await north.deviceOf('bert')];
    await north.cut();
    const count = 100;
    const { out } = await lib.must(latencyProgram, [anna.dir, bert.dir, 'party', id, 'notes', String(count)]);
    const ms = JSON.parse(out).ms.sort((a, b) => a - b);
    t.diagnostic(`commit to sight: median ${ms[count / 2]} ms, 99th of 100 ${ms[count - 2]} ms, most ${ms[count - 1]} ms`);
    assert.ok(ms[count / 2] < 150, 'it does not wait for a sweep of the polls, each 250 ms');
    assert.equal((await north.status()).pending, count);
    await north.mend();
    await lib.settle(anna, bert, boss);
    await agree([anna, bert, boss]);
    await outboxesAreEmpty([anna, bert]);
  });

test('a branch whose machine is lost', async (t) => {
  const hq = await lib.headquarters('branch-lost');
  const boss = await hq.device('boss');
  const shared = await boss.add('party', 'name=Acme', 'visibility=company');
  await boss.sync();
  const north = await openBranch(hq, 'North');
  t.after(async () => {
    await north.close();
    await hq.stop();
  });
  const [anna, bert] = [await north.deviceOf('anna'), await north.deviceOf('bert')];
  const serverDevice = async () => (await hq.json('devices')).devices
    .filter((d) => d.login === 'server-North' && !d.revoked).map((d) => d.id);

  await t.test('its disk: enrolled anew, and nothing is lost', async () => {
    await north.cut();
    await anna.set('party', shared, 'city=Bergen');
    const fresh = await anna.add('party', 'name=Fresh', 'visibility=company');
    await anna.sync(); // acknowledged by the branch alone
    await bert.sync();
    await bert.set('party', fresh, 'website=fresh.example');
    await bert.sync();
    await north.kill();
    fs.rmSync(north.data, { recursive: true });
    north.line.cutAll();
    north.line.unclog();
    const [lost] = await serverDevice();
    await hq.must('revoke', lost);
    await north.join();
    await north.start();
    await north.inTouch();
    const refused = await anna.run('sync');
    assert.equal(refused.code, 6, refused.err); // another key: nobody talks to it unasked
    for (const device of [anna, bert]) {
      await device.must('server', 'use', 'headquarters');
      await device.sync();
      assert.equal((await device.json('server')).filter((s) => s.name === 'North').length, 1);
      await device.must('server', 'use', 'North');
    }
    await lib.settle(anna, bert);
    await north.inTouch();
    await lib.settle(anna, bert, boss);
    await agree([anna, bert, boss]);
    await outboxesAreEmpty([anna, bert]);
    assert.equal(await value(boss, fresh, 'website'), 'fresh.example');
    assert.equal(await value(boss, shared, 'city'), 'Bergen');
  });

  await t.test('revoked: it stops, and its data are erased', async () => {
    const [stolen] = await serverDevice();
    const { job } = north;
    await hq.must('revoke', stolen);
    const end = await job.done;
    assert.equal(end.code, 3, end.err);
    assert.match(end.err, /revoked/);
    assert.deepEqual(fs.readdirSync(north.data).filter((name) => /^(branch\.db|upstream)/.test(name)), []);
    const again = await north.run('run', '--listen', '127.0.0.1:0');
    assert.equal(again.code, 1, again.err);
    assert.match(again.err, /not enrolled, or was revoked/);
  });
});

test('a branch below a branch', async (t) => {
  const hq = await lib.headquarters('branch-chain');
  const boss = await hq.device('boss');
  const shared = await boss.add('party', 'name=Acme', 'visibility=company');
  await boss.sync();
  const north = await openBranch(hq, 'North');
  await hq.must('branch', 'add', 'Pier', '--city', 'Oslo', '--parent', 'North');
  await hq.must('user', 'add', 'dora', '--branch', 'Pier');
  const pier = new Branch(hq, 'Pier');
  await pier.open(); // at headquarters, once
  await pier.inTouch();
  await pier.below(north);
  await pier.inTouch();
  t.after(async () => {
    await pier.close();
    await north.close();
    await hq.stop();
  });
  const [anna, dora] = [await north.deviceOf('anna'), await pier.deviceOf('dora')];
  await north.cut();
  await dora.set('party', shared, 'city=Pier 7');
  await dora.sync();
  await lib.until('it is at the branch above', async () => {
    await anna.sync();
    return (await value(anna, shared, 'city')) === 'Pier 7';
  });
  await anna.set('party', shared, 'website=acme.example');
  await anna.sync();
  await lib.until('and what is written there is below', async () => {
    await dora.sync();
    return (await value(dora, shared, 'website')) === 'acme.example';
  });
  await boss.sync();
  assert.equal(await value(boss, shared, 'city'), null);
  await north.mend();
  await pier.inTouch();
  await lib.settle(anna, dora, boss);
  await agree([anna, dora, boss]);
  await outboxesAreEmpty([anna, dora]);
  for (const place of [hq, north, pier]) {
    assert.equal((await place.json('verify')).ok, true);
  }
});
