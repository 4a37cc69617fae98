// ctest: timeout=300
// websocket.test.js - the real server against RFC 6455, case by case (cases.js), by a client that knows no
// WebSocket library. Autobahn's suite is a Python 2 package that Debian 12 does not have; these are its
// groups (framing, pings, reserved bits, opcodes, fragmentation, close handling, limits) and handshakes.
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const lib = require('../integration/lib.js');
const { OP, frame, hello, request, open, Wire } = require('./wire.js');
const cases = require('./cases.js');

const AT_ONCE = 24;

let server;
let device;

test.before(async () => {
  server = await lib.headquarters('websocket');
  device = await server.device('anna');
});
test.after(async () => {
  await server?.kill();
  await lib.cleanUp();
});

function pid() {
  return server.job.child.pid;
}

function residentKiB() {
  return Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid()}/status`, 'utf8'))[1]);
}

function openFiles() {
  return fs.readdirSync(`/proc/${pid()}/fd`).length;
}

// Runs them all, several at a time, then judges one by one.
async function results(list, connect) {
  const got = new Map();
  const queue = [...list];
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let one = queue.shift(); one; one = queue.shift()) {
      const wire = await connect();
      got.set(one, await one[2](wire).catch((error) => `failed: ${error.message}`));
      wire.close();
    }
  }));
  return got;
}

async function judge(t, list, connect) {
  const got = await results(list, connect);
  let deviations = 0;
  for (const one of list) {
    const [section, name, , expected, deviation] = one;
    await t.test(`RFC ${section.includes(' ') ? section : `6455 ${section}`}: ${name}`, (inner) => {
      if (deviation) {
        deviations++;
        inner.diagnostic(`known deviation: ${deviation.got} instead of ${[].concat(expected)[0]}: ${deviation.why}`);
        assert.equal(got.get(one), deviation.got, 'a known deviation has changed: look again');
      } else {
        assert.ok([].concat(expected).includes(got.get(one)),
          `${got.get(one) || 'no answer'} instead of ${[].concat(expected).join(' or ')}`);
      }
    });
  }
  t.diagnostic(`${list.length} cases, ${deviations} known deviations of the library`);
}

async function bare() {
  const wire = new Wire(server.port);
  await wire.ready;
  return wire;
}

test('handshakes', (t) => judge(t, cases.handshake, bare));

test('frames', (t) => judge(t, cases.framing, () => open(server.port)));

test('a version that is not spoken is told which one is (4.4)', async () => {
  const wire = await bare();
  wire.send(request({ headers: { 'Sec-WebSocket-Version': '12' } }));
  const { status, headers } = await wire.answer();
  wire.close();
  assert.equal(status, 426);
  assert.equal(headers['sec-websocket-version'], '13');
  assert.equal(headers.upgrade, 'websocket'); // RFC 9110 15.5.22
});

test('nothing tells what the server is made of', async () => {
  for (const path of ['/', '/health', '/satchel', '/nothing']) {
    const wire = await bare();
    wire.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const { headers } = await wire.answer();
    wire.close();
    assert.equal(headers.server, undefined);
    assert.ok(!/lws|libwebsockets|\d+\.\d+\.\d+/i.test(JSON.stringify(headers)), JSON.stringify(headers));
  }
});

test('who has not said who it is holds 4 KiB and no more (SPEC.md 7.2.2)', async () => {
  const before = residentKiB();
  const piece = Buffer.alloc(120 * 1024, 1);
  const wires = await Promise.all(Array.from({ length: 60 }, () => open(server.port)));
  wires.forEach((wire) => {
    wire.send(frame(OP.binary, piece, { fin: false }));
    for (let i = 0; i < 7; i++) { // in all 960 KiB, below the limit of a message
      wire.send(frame(OP.continuation, piece, { fin: false }));
    }
  });
  let most = 0;
  for (let i = 0; i < 30; i++) {
    await lib.sleep(50);
    most = Math.max(most, residentKiB());
  }
  wires.forEach((wire) => wire.close());
  assert.ok(most - before < 12 * 1024, `60 strangers made the server hold ${most - before} KiB`);
});

test('hundreds that come, do wrong and go leave nothing behind, and others go on', async (t) => {
  await device.sync();
  const files = openFiles();
  const churn = async () => {
    for (let i = 0; i < 100; i++) {
      const wire = await open(server.port);
      wire.send(frame(OP.binary, hello()), Buffer.from([0x70 + (i & 7), 0xff, i & 255]));
      await wire.frame(2000);
      wire.close();
    }
  };
  const before = residentKiB();
  const work = Promise.all([churn(), churn(), churn(), churn()]);
  const times = [];
  let over = false;
  work.finally(() => { over = true; });
  while (!over) {
    await device.add('party', `name=beside ${times.length}`);
    const from = Date.now();
    await device.sync();
    times.push(Date.now() - from);
  }
  await work;
  assert.ok(times.length > 0 && Math.max(...times) < 5000, `others waited ${Math.max(...times)} ms`);
  await lib.until('the connections are gone', () => openFiles() <= files, 15000);
  const grown = residentKiB() - before;
  assert.ok(grown < 8 * 1024, `${grown} KiB more after 400 connections`);
  t.diagnostic(`${times.length} syncs beside, at most ${Math.max(...times)} ms; ${grown} KiB more`);
});
