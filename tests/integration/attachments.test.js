// ctest: timeout=300
// attachments.test.js - photos between real programs: over lines that are cut again and again, through a branch, and
// never to who may not see them.
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const lib = require('./lib.js');
const { Proxy } = require('./proxy.js');
const { openBranch, latencyProgram } = require('./branches.js');

test.after(lib.cleanUp);

const MB = 1 << 20;

// A file of random bytes, as a photo is.
function photo(folder, name, size) {
  const file = path.join(folder, name);
  fs.writeFileSync(file, crypto.randomBytes(size));
  return file;
}

const attached = async (device, id) => (await device.json('attachments')).find((a) => a.id === id);

async function saved(device, id, original) {
  const file = `${original}.${path.basename(device.dir)}`;
  await device.must('fetch', id, '-o', file);
  assert.ok(fs.readFileSync(file).equals(fs.readFileSync(original)), 'the same bytes');
}

test('what a person sees of attachments', async (t) => {
  const hq = await lib.headquarters('attach', { flags: ['--attachment-mb', '2'] });
  t.after(() => hq.stop());
  const [boss, anna, carl] = [await hq.device('boss'), await hq.device('anna'), await hq.device('carl')];
  const acme = await anna.add('party', 'name=Acme', 'visibility=company', 'code=ACME');
  const visit = await anna.add('visit', `party=${acme}`, 'status=done');
  const small = photo(hq.folder, 'shelf.jpg', 200000);
  const large = photo(hq.folder, 'contract.pdf', 1500000);

  await t.test('attaching needs no network, and says what waits', async () => {
    const a = await anna.json('attach', 'visit', visit, small);
    assert.deepEqual([a.party, a.about, a.name, a.kind, a.media_type, a.size, a.place],
      [acme, visit, 'shelf.jpg', 'photo', 'image/jpeg', 200000, 'here']);
    await anna.must('attach', 'party', 'ACME', small, '--name', 'Once more', '--kind', 'photo');
    const status = await anna.json('status');
    assert.deepEqual([status.attachments.to_send, status.attachments.bytes_to_send], [1, 200000],
      'the same bytes are kept, and counted, once');
    const { out } = await anna.must('attach', 'party', 'ACME', photo(hq.folder, 'two.png', 300000));
    assert.match(out, /'two.png', photo, 300.0 kB: saved here/);
    assert.match((await anna.must('status')).out, /2 photos, 500.0 kB to send/);
  });

  await t.test('what cannot be attached is refused in words', async () => {
    const cases = [
      [['party', 'ACME', `${hq.folder}/none.jpg`], 1, /none.jpg.*No such file/],
      [['party', 'ACME', photo(hq.folder, 'empty.jpg', 0)], 2, /'empty.jpg' is empty/],
      [['party', 'ACME', photo(hq.folder, 'huge.jpg', 2 * MB + 1)], 2, /larger than the 2.1 MB that headquarters/],
      [['party', 'ACME', small, '--kind', 'picture'], 2, /picture/],
      [['branch', 'North', small], 2, /belongs to no party/],
      [['party', 'Nobody', small], 1, /there is no 'Nobody'/],
    ];
    for (const [args, code, message] of cases) {
      const result = await anna.run('attach', ...args);
      assert.match(result.err, message);
      assert.equal(result.code, code, result.err);
    }
    assert.equal((await anna.json('status')).attachments.here, 2);
  });

  await t.test('records go alone, if asked, and attachments after them', async () => {
    await anna.must('sync', '--no-attachments');
    assert.equal((await hq.json('status')).attachments_missing, 2);
    const answer = await anna.sync();
    assert.deepEqual([answer.attachments.sent, answer.attachments.sent_bytes], [2, 500000]);
    const status = await hq.json('status');
    assert.deepEqual([status.attachments, status.attachment_bytes, status.attachments_missing], [2, 500000, 0]);
    assert.deepEqual((await anna.json('attachments')).map((a) => a.place), Array(3).fill('at_headquarters'));
  });

  await t.test('small ones come by themselves, large ones when asked for', async () => {
    const { id } = await anna.json('attach', 'party', 'ACME', large);
    await anna.sync();
    await carl.sync();
    assert.deepEqual((await carl.json('attachments', 'party', 'ACME')).map((a) => a.place).sort(),
      ['at_headquarters', 'at_headquarters', 'at_headquarters', 'on_server']);
    assert.deepEqual((({ to_fetch, bytes_to_fetch }) => [to_fetch, bytes_to_fetch])(
      (await carl.json('status')).attachments), [1, 1500000]);
    await saved(carl, id, large);
    assert.equal((await carl.json('status')).attachments.to_fetch, 0);
    const verify = await hq.json('verify');
    assert.deepEqual([verify.ok, verify.attachments], [true, 3]);
  });

  await t.test('who may not see the customer gets nothing, by whatever name', async () => {
    const secret = await anna.add('party', 'name=Secret', 'visibility=branch', 'branch=North', 'code=SECRET');
    const file = photo(hq.folder, 'secret.jpg', 100000);
    const { id } = await anna.json('attach', 'party', secret, file);
    await anna.sync();
    await carl.sync();
    assert.equal(await attached(carl, id), undefined);
    assert.equal((await carl.run('fetch', id)).code, 1);
    const canary = fs.readFileSync(file).subarray(1000, 1032);
    for (const name of fs.readdirSync(carl.dir)) {
      assert.equal(fs.readFileSync(path.join(carl.dir, name)).includes(canary), false, name);
    }
    await boss.sync();
    await saved(boss, id, file);
  });

  await t.test('a backup has them', async () => {
    const backup = `${hq.folder}/backup.db`;
    await hq.must('backup', backup);
    const { out } = await lib.must('satcheld', ['verify', backup, '--data', hq.data]);
    assert.match(out, /4 attachments to their hashes/);
  });

  await t.test('damage is found', async () => {
    await hq.stop();
    const file = path.join(hq.data, 'hq.db');
    const bytes = fs.readFileSync(file);
    const at = bytes.indexOf(fs.readFileSync(large).subarray(500, 532));
    assert.ok(at > 0);
    bytes[at] ^= 1;
    fs.writeFileSync(file, bytes);
    const verify = await hq.json('verify');
    assert.equal(verify.ok, false);
    assert.match(verify.problems.join(), /attachment [0-9a-f]{64}: its bytes are not those that were saved/);
  });
});

test('20 MB over a line that is cut again and again', async (t) => {
  const hq = await lib.headquarters('attach-cut');
  const proxy = new Proxy(hq.port, () => ({ kind: 'cut', direction: t.way || 'up', after: 3 * MB + 12345 }));
  const port = await proxy.listen();
  t.after(async () => {
    await proxy.close();
    await hq.stop();
  });
  const file = photo(hq.folder, 'film.mp4', 20 * MB);
  const device = async (login) => {
    const made = new lib.Device(path.join(hq.folder, `cut-${login}`));
    await made.must('enroll', await hq.ticket(login, '--host', `127.0.0.1:${port}`), '--name', login);
    await made.sync();
    return made;
  };
  const [anna, carl] = [await device('anna'), await device('carl')];
  await anna.add('party', 'name=Acme', 'visibility=company', 'code=ACME');
  const { id } = await anna.json('attach', 'party', 'ACME', file);
  proxy.stats.up = 0;
  let sessions = 0;
  while ((await anna.json('status')).attachments.to_send > 0) {
    assert.ok(++sessions < 30);
    await anna.run('sync');
  }
  assert.ok(sessions >= 7, `${sessions} sessions`);
  t.diagnostic(`up: ${sessions} sessions, ${(proxy.stats.up / MB).toFixed(1)} MiB for 20`);
  assert.ok(proxy.stats.up < 20 * MB + sessions * 200000, 'it does not start over');
  assert.equal((await hq.json('status')).attachments, 1);
  t.way = 'down';
  proxy.stats.down = 0;
  for (sessions = 0; (await attached(carl, id))?.place !== 'at_headquarters'; sessions++) {
    assert.ok(sessions < 30);
    await carl.run('fetch', id);
    await carl.run('sync');
  }
  t.diagnostic(`down: ${sessions} times, ${(proxy.stats.down / MB).toFixed(1)} MiB for 20`);
  assert.ok(proxy.stats.down < 20 * MB + (2 * sessions + 1) * 200000, 'it does not start over');
  await saved(carl, id, file);
});

test('through a branch, with its line cut, and on from there', async (t) => {
  const hq = await lib.headquarters('attach-branch');
  const boss = await hq.device('boss');
  const north = await openBranch(hq, 'North');
  t.after(async () => {
    await north.close();
    await hq.stop();
  });
  const [anna, bert] = [await north.deviceOf('anna'), await north.deviceOf('bert')];
  await north.cut();
  await anna.add('party', 'name=Acme', 'visibility=company', 'code=ACME');
  const file = photo(hq.folder, 'shelf.jpg', 3 * MB);
  const { id } = await anna.json('attach', 'party', 'ACME', file);
  await anna.sync();
  assert.equal((await attached(anna, id)).place, 'at_branch');
  assert.equal((await north.status()).attachments_pending, 1);
  await bert.sync();
  await saved(bert, id, file); // no headquarters is needed
  await north.mend();
  await lib.until('headquarters has it', async () => (await hq.json('status')).attachments === 1);
  await anna.sync();
  assert.equal((await attached(anna, id)).place, 'at_headquarters');
  await boss.sync();
  await saved(boss, id, file);
  await boss.add('party', 'name=Other', 'visibility=company', 'code=OTHER');
  const other = photo(hq.folder, 'other.jpg', 2 * MB);
  const down = await boss.json('attach', 'party', 'OTHER', other);
  await boss.sync();
  await lib.until('it comes down by the branch, on demand', async () => {
    await bert.sync();
    await bert.run('fetch', down.id);
    return (await attached(bert, down.id))?.place === 'at_headquarters';
  });
  await saved(bert, down.id, other);
});

test('writes while 20 MB go up', { skip: !fs.existsSync(latencyProgram) }, async (t) => {
  const hq = await lib.headquarters('attach-latency');
  t.after(() => hq.stop());
  const [anna, bert] = [await hq.device('anna'), await hq.device('bert')];
  const id = await anna.add('party', 'name=Acme', 'visibility=company', 'code=ACME');
  await lib.settle(anna, bert);
  const count = 100;
  const measure = async (what) => {
    const { out } = await lib.must(latencyProgram, [anna.dir, bert.dir, 'party', id, 'notes', String(count)]);
    const ms = JSON.parse(out).ms.sort((a, b) => a - b);
    t.diagnostic(`${what}: median ${ms[count / 2]} ms, 99th of 100 ${ms[count - 2]} ms, most ${ms[count - 1]} ms`);
  };
  await measure('commit to sight, nothing else under way');
  await anna.must('attach', 'party', 'ACME', photo(hq.folder, 'film.mp4', 20 * MB));
  await measure('while 20 MB go up');
  t.diagnostic(`still to send after that: ${(await anna.json('status')).attachments.to_send}`);
  await anna.sync();
  assert.equal((await anna.json('status')).attachments.to_send, 0);
});
