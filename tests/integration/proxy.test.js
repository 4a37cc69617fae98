// proxy.test.js - the proxy does to bytes what its faults say, to the byte: else the tests behind it show
// nothing. A server that echoes, and one client at a time.
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const net = require('node:net');
const { Proxy } = require('./proxy.js');

// Counts what arrives and how each connection ends.
function echo() {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    const seen = { bytes: 0, end: false, error: null, socket };
    server.seen.push(seen);
    socket.on('data', (data) => { seen.bytes += data.length; socket.write(data); });
    socket.on('end', () => { seen.end = true; socket.end(); });
    socket.on('error', (error) => { seen.error = error.code; });
  });
  server.seen = [];
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

async function through(fault, act, random) {
  const server = await echo();
  const proxy = new Proxy(server.address().port, () => fault, random);
  const port = await proxy.listen();
  const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const got = { bytes: 0, times: [], end: false, error: null, closed: false };
  client.on('data', (data) => { got.bytes += data.length; got.times.push(Date.now()); });
  client.on('end', () => { got.end = true; });
  client.on('error', (error) => { got.error = error.code; });
  client.on('close', () => { got.closed = true; });
  try {
    await act({ client, got, proxy, server });
  } finally {
    client.destroy();
    await proxy.close();
    server.seen.forEach(({ socket }) => socket.destroy());
    await new Promise((resolve) => server.close(resolve));
  }
}

async function until(check, what) {
  const end = Date.now() + 5000;
  while (!check()) {
    assert.ok(Date.now() < end, `waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const data = Buffer.alloc(10000, 'x');

test('without a fault all comes back, and an end is passed on', () => through({ kind: 'none' },
  async ({ client, got }) => {
    client.end(data);
    await until(() => got.end, 'the end');
    assert.equal(got.bytes, 10000);
  }));

for (const direction of ['up', 'down']) {
  test(`cut ${direction} after exactly 4321 bytes`, () => through({ kind: 'cut', direction, after: 4321 },
    async ({ client, got, proxy, server }) => {
      client.write(data);
      // libuv calls a reset that comes with the last bytes an end.
      await until(() => got.error === 'ECONNRESET' || got.end, 'the reset');
      await until(() => server.seen[0].error === 'ECONNRESET' || server.seen[0].end, 'the other side\'s');
      assert.equal(proxy.stats[direction], 4321);
      assert.ok(got.bytes <= 4321, 'a reset may overtake what was sent');
      assert.ok(server.seen[0].bytes <= 4321 || direction === 'down');
    }));
}

test('close is polite', () => through({ kind: 'close', direction: 'down', after: 100 },
  async ({ client, got }) => {
    client.write(data);
    await until(() => got.end, 'the end');
    assert.equal(got.error, null);
    assert.equal(got.bytes, 100);
  }));

test('a stall holds one direction, and lets it go on', () => through(
  { kind: 'stall', direction: 'down', after: 1000, ms: 400 }, async ({ client, got, server }) => {
    client.write(data);
    await until(() => server.seen[0]?.bytes === 10000, 'the way up is free');
    await pause(150);
    assert.equal(got.bytes, 1000);
    await until(() => got.bytes === 10000, 'what was held');
  }));

test('half-closed: the server sees the end, the client still gets', () => through(
  { kind: 'half', direction: 'up', after: 5000 }, async ({ client, got, server }) => {
    client.write(data);
    await until(() => server.seen[0]?.end, 'the end');
    assert.equal(server.seen[0].bytes, 5000);
    await until(() => got.bytes === 5000, 'the answer');
  }));

test('throttled: 10,000 bytes both ways at 20,000 a second', () => through({ kind: 'throttle', rate: 20000 },
  async ({ client, got }) => {
    const from = Date.now();
    client.write(data);
    await until(() => got.bytes === 10000, 'all');
    assert.ok(Date.now() - from > 400, 'it took its time');
  }));

test('delayed, and in order', () => through({ kind: 'delay', ms: 150, jitter: 0 },
  async ({ client, got }) => {
    const from = Date.now();
    client.write('abc');
    await until(() => got.bytes === 3, 'all');
    assert.ok(Date.now() - from >= 295);
  }));

test('dribbled: a byte at a time arrives whole', () => through({ kind: 'dribble', pieces: 2000 },
  async ({ client, got }) => {
    client.end(data);
    await until(() => got.end, 'the end');
    assert.equal(got.bytes, 10000);
  }));

test('overtaken: the client is reset, the server gets the rest later', () => through(
  { kind: 'overtake', after: 4000, ms: 300 }, async ({ client, got, server }) => {
    client.write(data);
    await until(() => got.error === 'ECONNRESET' || got.end, 'the reset');
    await pause(100);
    assert.equal(server.seen[0].bytes, 4000);
    assert.equal(server.seen[0].socket.destroyed, false, 'the old session lives');
    await until(() => server.seen[0].bytes === 10000, 'what was held');
    await until(() => server.seen[0].socket.destroyed, 'its end');
  }));

test('clogged and unclogged: late, but nothing is lost', () => through({ kind: 'none' },
  async ({ client, got, proxy }) => {
    proxy.clog();
    client.write(data);
    await pause(150);
    assert.equal(got.bytes, 0);
    proxy.unclog();
    await until(() => got.bytes === 10000, 'all');
  }));

test('a reset in the moment of an end leaves no socket open', () => through({ kind: 'none' },
  async ({ client, got, proxy, server }) => {
    client.write(data);
    await until(() => got.bytes === 10000, 'all');
    const [connection] = proxy.connections;
    const closed = [connection.client, connection.server].map((socket) => new Promise((resolve) => {
      socket.on('close', resolve);
    }));
    connection.server.end();
    connection.client.end();
    connection.reset();
    await until(() => server.seen[0].end || server.seen[0].error, 'the end');
    await Promise.race([Promise.all(closed), pause(2000).then(() => assert.fail('a socket stays open'))]);
  }));
