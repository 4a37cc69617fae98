// ctest: timeout=900
// enrol.test.js - who may connect: codes that work once, pins, revoked devices, one session per device, and
// a device whose clock is years off.
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const tls = require('node:tls');
const { execFileSync } = require('node:child_process');
const lib = require('./lib.js');

test.after(lib.cleanUp);

test('enrolment', async (t) => {
  const server = await lib.headquarters('enrol');
  t.after(() => server.kill());
  const place = (name) => new lib.Device(path.join(server.folder, name));

  await t.test('a code works once', async () => {
    const ticket = await server.ticket('anna');
    await place('once').must('enroll', ticket);
    const again = await place('twice').run('enroll', ticket);
    assert.equal(again.code, 6, again.err);
    assert.match(again.err, /used|expired/);
    assert.equal((await server.json('devices')).devices.length, 1);
  });

  await t.test('a device enrols once', async () => {
    const result = await place('once').run('enroll', await server.ticket('anna'));
    assert.equal(result.code, 3);
    assert.match(result.err, /enrolled/);
  });

  await t.test('a code that nobody made', async () => {
    const ticket = (await server.ticket('anna')).replace(/\/[0-9A-Z]{26}\?/, `/${'0'.repeat(26)}?`);
    assert.equal((await place('guess').run('enroll', ticket)).code, 6);
  });

  await t.test('a ticket that is none', async () => {
    for (const ticket of ['hello', 'satchel://127.0.0.1/x?pin=y', 'satchel://127.0.0.1:1/AAAA?pin=AA']) {
      const result = await place('none').run('enroll', ticket);
      assert.ok([2, 3].includes(result.code), `${ticket}: ${result.code} ${result.err}`);
    }
  });

  await t.test('nobody there is exit code 4', async () => {
    const ticket = (await server.ticket('anna')).replace(/:\d+\//, ':1/');
    assert.equal((await place('nobody').run('enroll', ticket)).code, 4);
  });

  await t.test('a code expires', async () => {
    // The server's clock goes on: a code of one minute, and a server that starts two minutes later.
    const clock = wrongClock(server.folder);
    const ticket = await server.ticket('anna', '--minutes', '1');
    await server.stop();
    server.env = clock(120);
    await server.start();
    const result = await place('late').run('enroll', ticket);
    server.env = undefined;
    await server.stop();
    await server.start();
    assert.equal(result.code, 6, result.err);
    assert.match(result.err, /expired/);
  });

  await t.test('another server: nothing is sent to it', async () => {
    const other = await new lib.Server(server.folder, { name: 'impostor' }).init();
    let received = 0;
    let connected = 0;
    const impostor = tls.createServer({ key: fs.readFileSync(path.join(other.data, 'tls.key')),
      cert: fs.readFileSync(path.join(other.data, 'tls.crt')), minVersion: 'TLSv1.3' }, (socket) => {
      connected++;
      socket.on('data', (data) => { received += data.length; });
      socket.on('error', () => {});
    });
    impostor.on('tlsClientError', () => { connected++; });
    await new Promise((resolve) => { impostor.listen(0, '127.0.0.1', resolve); });
    const ticket = await server.ticket('anna');
    const result = await place('pinned').run('enroll',
      ticket.replace(/:\d+\//, `:${impostor.address().port}/`));
    await lib.sleep(100);
    impostor.close();
    assert.ok(result.code === 6 || result.code === 4, `${result.code}: ${result.err}`);
    assert.match(result.err, /another key/);
    assert.ok(connected > 0, 'the impostor was reached');
    assert.equal(received, 0, 'and got nothing');
    await place('pinned').must('enroll', ticket);
  });
});

// A library that moves the wall clock by some seconds, for LD_PRELOAD.
function wrongClock(folder) {
  const code = path.join(folder, 'clock.c');
  const library = path.join(folder, 'clock.so');
  fs.writeFileSync(code, `
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long shift(void) { const char *s = getenv("CLOCK_SHIFT"); return s ? atol(s) : 0; }
int clock_gettime(clockid_t id, struct timespec *t)
{
    int result = (int)syscall(SYS_clock_gettime, id, t);
    if (result == 0 && id == CLOCK_REALTIME)
        t->tv_sec += shift();
    return result;
}
`);
  execFileSync('cc', ['-shared', '-fPIC', '-o', library, code]);
  return (seconds) => ({ LD_PRELOAD: library, CLOCK_SHIFT: String(seconds) });
}

test('a revoked device', async (t) => {
  const server = await lib.headquarters('revoke');
  t.after(() => server.kill());
  const anna = await server.device('anna', 'phone');
  const bert = await server.device('bert', 'tablet');
  await anna.add('party', 'name=Something');
  await lib.settle(anna, bert);
  const live = anna.live();
  await live.saw('caught_up');
  const devices = (await server.json('devices')).devices;
  assert.deepEqual(devices.map((d) => [d.name, d.connected]).sort(),
    [['phone', true], ['tablet', false]]);
  const from = Date.now();
  await server.must('revoke', 'phone');
  await live.saw('revoked', 1, 5000);
  assert.ok(Date.now() - from < 1000, `within a second: ${Date.now() - from} ms`);
  assert.equal((await live.done).code, 6);
  for (const name of ['replica.db', 'replica.db-wal', 'identity.json']) {
    assert.equal(fs.existsSync(path.join(anna.dir, name)), false, `${name} is erased`);
  }
  assert.equal((await anna.run('sync')).code, 1, 'nothing is left to sync with');
  await server.must('revoke', devices.find((d) => d.name === 'tablet').id.slice(0, 13));
  const away = await bert.run('sync');
  assert.equal(away.code, 6, 'one that was away learns it when it connects');
  assert.match(away.err, /revoked/);
  assert.equal(fs.existsSync(path.join(bert.dir, 'replica.db')), false);
});

test('a newer session of a device closes the older', async (t) => {
  const server = await lib.headquarters('session');
  t.after(() => server.kill());
  const anna = await server.device('anna');
  const twin = anna.copy(`${anna.dir}-twin`);
  const older = anna.live();
  await older.saw('caught_up');
  const newer = twin.live();
  await newer.saw('caught_up');
  await lib.until('the older session ends', () => older.ended ||
    older.events().some((e) => e.event === 'retry' || e.event === 'closed'), 5000);
  older.kill('SIGTERM');
  newer.kill('SIGTERM');
  await older.done;
  await newer.done;
});

test('a device whose clock is years off', async (t) => {
  const server = await lib.headquarters('clock');
  t.after(() => server.kill());
  const clock = wrongClock(server.folder);
  const year = 365 * 24 * 3600;
  const bert = await server.device('bert');
  for (const [name, seconds] of [['future', 5 * year], ['past', -5 * year]]) {
    const anna = await server.device('anna', name, { env: clock(seconds) });
    const id = await bert.add('party', `name=${name}`, 'industry=Base');
    await lib.settle(bert, anna);

    // Written first with the wrong clock, then with the right one: the later one wins.
    await anna.set('party', id, 'industry=Earlier');
    await lib.sleep(50);
    await bert.set('party', id, 'industry=Later');
    await lib.settle(anna, bert);
    for (const place of [anna, bert]) {
      assert.equal((await place.show('party', id)).industry, 'Later', name);
    }

    // And the other way round.
    await bert.set('party', id, 'website=earlier.example');
    await lib.sleep(50);
    await anna.set('party', id, 'website=later.example');
    await lib.settle(anna, bert);
    assert.equal((await bert.show('party', id)).website, 'later.example', name);

    // The others' clocks are not led astray.
    await bert.set('party', id, 'industry=Now');
    await bert.sync();
    const status = await bert.json('status');
    assert.ok(Math.abs(status.clock_offset_ms) < 5000);
  }
  assert.equal((await server.run('verify')).code, 0);
});
