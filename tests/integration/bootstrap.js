// bootstrap.js - a new device takes a large customer file over a line that is cut many times: it goes on from where
// it was, does not say that it has all before it has, and what it has then is what headquarters has. The integration test
// runs it small, ./dev bench bootstrap with a million records.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const lib = require('./lib.js');
const { Proxy } = require('./proxy.js');
const { stream } = require('./random.js');

const HANDSHAKE_BYTES = 4000; // down, about; a cut within it is one more try, and not a cut of the bootstrap
const LIMIT_MS = 20 * 60000;
const EXIT_NETWORK = 4;

const columns = ['code', 'name', 'legal_name', 'employees', 'revenue', 'currency', 'website', 'fax', 'street', 'city',
  'postal_code', 'founded_year', 'notes'];
const words = 'call back invoice paid late prefers email morning delivery contract renewal discount order visit'.split(' ');

function rowOf(random, i) {
  const word = () => random.pick(words);
  const digits = (count) => String(random.below(10 ** count)).padStart(count, '0');
  const name = `${word()} ${word()} ${i}`;
  return [`K-${i}`, name, `${name} Ltd`, random.below(5000), random.below(1e9) / 100, 'EUR',
    `https://${word()}-${i}.example.com`, `+7 9${digits(2)} ${digits(3)}-${digits(2)}`,
    `${random.below(250)} ${word()} street, apt ${random.below(400)}`, random.pick(['Kazan', 'Oslo', 'Rome', 'Perm']),
    digits(6), 1900 + random.below(120), Array.from({ length: 14 }, word).join(' ')];
}

// A CSV, in pieces: a million rows are more than a text may have.
function writeRows(file, count, random) {
  const out = fs.openSync(file, 'w');
  fs.writeSync(out, `${columns.join(',')}\n`);
  for (let i = 0; i < count;) {
    const lines = [];
    for (const end = Math.min(count, i + 10000); i < end; i++) {
      lines.push(`"${rowOf(random, i).join('","')}"\n`);
    }
    fs.writeSync(out, lines.join(''));
  }
  fs.closeSync(out);
}

async function fill(server, count, random, tell) {
  const author = await server.device('boss', 'author', { sync: false });
  const file = path.join(server.folder, 'rows.csv');
  writeRows(file, count, random);
  let start = Date.now();
  await lib.must('satchel', author.args(['import', file, '--table', 'party', '--key', 'code']), { limit: LIMIT_MS });
  tell(`imported in ${((Date.now() - start) / 1e3).toFixed(1)} s`);
  start = Date.now();
  await lib.must('satchel', author.args(['sync']), { limit: LIMIT_MS });
  tell(`pushed in ${((Date.now() - start) / 1e3).toFixed(1)} s`);
  fs.rmSync(file);
}

// One bootstrap without faults: what the other is measured by.
async function whole(server) {
  const device = await server.device('boss', 'whole', { sync: false });
  const start = process.hrtime.bigint();
  const result = await lib.must('satchel', device.args(['--json', 'sync']), { limit: LIMIT_MS });
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  return { device, seconds, bytes: JSON.parse(result.out).received_bytes };
}

// The same, but each of the first `cuts` connections after the enrolment is cut.
async function cutOften(server, cuts, bytes, random, tell) {
  const mean = bytes * 0.9 / cuts;
  const faultOf = (number) => (number === 0 || number > cuts ? { kind: 'none' }
    : { kind: 'cut', direction: 'down', after: HANDSHAKE_BYTES + Math.floor(mean * (0.2 + 1.6 * random())) });
  const proxy = new Proxy(server.port, faultOf);
  const port = await proxy.listen();
  const device = new lib.Device(path.join(server.folder, 'cut'));
  const before = await server.json('status');
  let told = false; // whether it said to have all
  let readable = 0;
  let syncs = 0;
  try {
    await device.must('enroll', (await server.ticket('boss')).replace(`:${server.port}/`, `:${port}/`), '--name', 'cut');
    const start = Date.now();
    for (;;) {
      const result = await lib.run('satchel', device.args(['--json', 'sync']), { limit: LIMIT_MS });
      syncs++;
      if (result.code === 0) {
        break;
      }
      if (result.code !== EXIT_NETWORK || syncs > cuts) {
        throw new Error(`sync ${syncs}: exit ${result.code}\n${result.err}${result.out}`);
      }
      if (syncs % 10 === 0) {
        told = told || (await device.json('status')).bootstrapped;
        readable = await device.one('SELECT count(*) FROM party');
        tell(`cut ${syncs} times, ${(proxy.stats.down / 1e6).toFixed(1)} MB received`);
      }
    }
    const after = await server.json('status');
    return { device, syncs, told, readable, seconds: (Date.now() - start) / 1e3, bytes: proxy.stats.down,
      cuts: proxy.stats.hits.cut || 0, sent: after.rows_sent - before.rows_sent };
  } finally {
    await proxy.close();
  }
}

// What a device shows, as one line.
async function sum(device) {
  const text = columns.map((name) => `sum(length(${name}))`).join(' || \' \' || ');
  return device.one(`SELECT count(*) || ' ' || sum(employees) || ' ' || sum(revenue) || ' ' || ${text} FROM party`);
}

// Makes a headquarters with so many records; measure(whole device) is called between the two bootstraps.
async function bootstrap({ rows, cuts, seed, tell = () => {}, measure = async () => null }) {
  const random = stream(seed, 'bootstrap');
  const server = await lib.headquarters('bootstrap');
  await fill(server, rows, random, tell);
  const one = await whole(server);
  const measured = await measure(one.device);
  const other = await cutOften(server, cuts, one.bytes, random, tell);
  const sums = [await sum(one.device), await sum(other.device)];
  const verified = await lib.run('satchel', other.device.args(['--json', 'verify']), { limit: LIMIT_MS });
  return { whole: one, cut: other, sums, verified, measured };
}

module.exports = { bootstrap };
