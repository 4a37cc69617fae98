// bench.js - `./dev bench`: the works W1 to W6 on Satchel, beside the baseline and the machine's limits,
// all in one run; prints the table and writes RESULTS.md.
//
//   bench.js [--runs N] [--rows N] [--fan N] [--no-write]
//
// The harness and the baseline (harness.js, sess.c, limits.c, gen.c, run) are in the folder
// SATCHEL_BENCH_PEERS, or in ../shared/bench beside the source. Without them only Satchel is measured,
// on rows of our own and by a short form of the same works (W5 is left out). Only ratios of one run
// count: machines are noisy. BENCH_DIR: a folder for the data, else one in the temporary folder.
'use strict';
const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const source = process.env.SATCHEL_SOURCE || path.resolve(__dirname, '../..');
const peers = process.env.SATCHEL_BENCH_PEERS || path.resolve(source, '../shared/bench');
const hasPeers = fs.existsSync(path.join(peers, 'harness.js'));
const folder = process.env.BENCH_DIR || path.join(os.tmpdir(), 'satchel-bench');
const LIMIT_MS = 10 * 60000; // of the whole run: works that would begin after it are left out
const started = Date.now();

function option(name, fallback) {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
}

const rows = option('rows', 100000);
const fan = option('fan', 1000);
const runs = option('runs', 3);

function left() {
  return LIMIT_MS - (Date.now() - started);
}

function say(text) {
  process.stderr.write(`== ${text}\n`);
}

// ---- with the harness ----

function environment(sync) {
  return { ...process.env, BENCH_DIR: folder, PEERS: __dirname, SATCHEL_BENCH_SYNC: sync, IDLE: '3',
    BENCH_DATA: path.join(folder, 'data.jsonl'), BENCH_HARNESS: path.join(peers, 'harness.js') };
}

// One run of all works for a peer; its figures, or null when it did not finish.
function harnessRun(peer, sync, works) {
  say(`${peer}, devices at synchronous=${sync.toUpperCase()}`);
  const env = environment(sync);
  if (peer === 'session') {
    delete env.PEERS;
  }
  env.O = JSON.stringify({ N: rows, fans: [fan], ...works });
  const file = path.join(folder, 'results', `${peer}.jsonl`);
  fs.rmSync(file, { force: true });
  const done = spawnSync(path.join(peers, 'run'), [peer],
    { env, stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8', timeout: Math.max(left(), 60000) });
  if (!fs.existsSync(file)) {
    say(`${peer} did not finish:\n${(done.stderr || '').split('\n').slice(-12).join('\n')}`);
    return null;
  }
  const result = JSON.parse(fs.readFileSync(file, 'utf8').trim().split('\n').pop());
  if (result.error) {
    say(`${peer}: ${result.error}`);
    return null;
  }
  return result;
}

function harnessLimits() {
  say('limits of the machine');
  const done = spawnSync(path.join(peers, 'run'), ['limits'],
    { env: environment('normal'), encoding: 'utf8', timeout: 120000 });
  return (done.stdout || '').trim().split('\n').filter(Boolean);
}

// ---- without it ----

const WORDS = ['call', 'back', 'invoice', 'paid', 'late', 'prefers', 'delivery', 'contract', 'renewal',
  'discount', 'asked', 'price', 'list', 'sample', 'meeting', 'manager', 'warehouse', 'order', 'visit'];

// Rows like those of the shared generator, by a small random number generator of fixed seed.
function writeRows(file) {
  let seed = 42;
  const next = (n) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return (seed >>> 8) % n;
  };
  const word = () => WORDS[next(WORDS.length)];
  const digits = (n) => String(next(10 ** n)).padStart(n, '0');
  const lines = [];
  for (let i = 0; i < rows; i++) {
    lines.push(JSON.stringify({
      id: `${i.toString(16).padStart(8, '0')}-${digits(4)}-4${digits(3)}-8${digits(3)}-${digits(6)}${digits(6)}`,
      name: `${word()} ${word()}${digits(3)}`, company: `${word()} ${word()} ${digits(3)}`,
      email: `${word()}.${word()}${digits(4)}@${word()}.example.com`,
      phone: `+7 9${digits(2)} ${digits(3)}-${digits(2)}-${digits(2)}`,
      street: `${next(250) + 1} ${word()} street, apt ${next(400) + 1}`, city: word(),
      zip: digits(6), country: word().slice(0, 2).toUpperCase(), balance: next(15000000) - 5000000,
      rating: next(100), updated_at: 1760000000000 + next(16000000) * 1000,
      notes: Array.from({ length: 14 }, word).join(' ') }));
  }
  fs.writeFileSync(file, `${lines.join('\n')}\n`);
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function ownWorks(peer, work) {
  const port = 20000 + (process.pid % 20000);
  const data = fs.mkdtempSync(path.join(folder, 'own-'));
  const made = [];
  const keep = async (agent) => { made.push(agent); await agent.ready; return agent; };
  try {
    await keep(peer.server(path.join(data, 's'), port));
    const a = await keep(peer.client('A', path.join(data, 'a'), port));
    const result = { N: rows };
    result.load_ms = (await a.call(`load ${rows}`)).ms;
    result.W1 = { rows_s: Math.round(rows / (await a.call('push')).ms * 1000) };
    await a.call('flush');
    const b = await keep(peer.client('B', path.join(data, 'b'), port));
    result.W2 = { rows_s: Math.round(rows / (await b.call('pull')).ms * 1000) };
    const [ha, hb] = [await a.call('hash'), await b.call('hash')];
    result.eq_after_W2 = [ha.hash === hb.hash, ha.count, hb.count];
    await a.call('live');
    await b.call('live');
    await work(result, a, b);
    return result;
  } finally {
    await Promise.all(made.map((agent) => agent.kill()));
    fs.rmSync(data, { recursive: true, force: true });
  }
}

async function seen(a, b, words) {
  const watching = b.call(`watch ${words}`);
  const edited = await a.call(`edit ${words}`);
  return (await watching).t - edited.t0;
}

async function liveWorks(result, a, b) {
  result.W3 = [];
  for (let i = 0; i < 3; i++) {
    result.W3.push({ visible_ms: await seen(a, b, `${i} 1000 97 phone T3${i}`) });
    await a.call('flush');
  }
  const times = [];
  for (let i = 0; i < 500; i++) {
    times.push(await seen(a, b, `${(20000 + i * 7) % rows} 1 1 phone T4.${i}`));
  }
  times.sort((x, y) => x - y);
  result.W4 = { p50_ms: times[250], p99_ms: times[495] };
  await sleep(200);
  await a.call('offline');
  await b.call('offline');
  for (const words of ['0 5000 1 phone A', '5000 5000 1 notes A']) {
    await a.call(`edit ${words}`);
  }
  await sleep(20);
  for (const words of ['0 5000 1 city B', '5000 5000 1 notes B']) {
    await b.call(`edit ${words}`);
  }
  let ms = 0;
  for (const agent of [a, b, a]) {
    ms += (await agent.call('sync')).ms;
  }
  const [ha, hb] = [await a.call('hash'), await b.call('hash')];
  result.W6 = { converged: ha.hash === hb.hash, sync_s: ms / 1000, survA: await a.call('surv') };
}

// The Agent of the harness in few lines: a line out, a JSON line back.
class Agent {
  constructor(name, program, words) {
    const { spawn } = require('node:child_process');
    this.waiting = [];
    this.child = spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit'] });
    require('node:readline').createInterface({ input: this.child.stdout }).on('line', (line) => {
      const waiter = this.waiting.shift();
      if (waiter && line.startsWith('{')) {
        waiter.resolve(JSON.parse(line));
      }
    });
    this.ended = new Promise((resolve) => {
      this.child.on('exit', (code) => {
        this.waiting.forEach((w) => w.reject(new Error(`${name} ended with ${code}`)));
        resolve();
      });
    });
    this.ready = this.answer();
  }

  answer() {
    return new Promise((resolve, reject) => { this.waiting.push({ resolve, reject }); });
  }

  call(line) {
    const answer = this.answer();
    this.child.stdin.write(`${line}\n`);
    return answer;
  }

  kill() {
    this.child.kill('SIGTERM');
    return this.ended;
  }
}

async function ownRun(sync) {
  process.env.BENCH_DATA = path.join(folder, 'own-data.jsonl');
  process.env.BENCH_HARNESS = __filename;
  process.env.SATCHEL_BENCH_SYNC = sync;
  if (!fs.existsSync(process.env.BENCH_DATA)) {
    writeRows(process.env.BENCH_DATA);
  }
  delete require.cache[require.resolve('./peer_satchel.js')];
  return ownWorks(require('./peer_satchel.js'), liveWorks);
}

// What node alone can say about the machine.
function ownLimits() {
  const zlib = require('node:zlib');
  const file = path.join(folder, 'limit.bin');
  const fd = fs.openSync(file, 'w');
  const times = [];
  for (let i = 0; i < 200; i++) {
    const begin = process.hrtime.bigint();
    fs.writeSync(fd, Buffer.alloc(4096));
    fs.fdatasyncSync(fd);
    times.push(Number(process.hrtime.bigint() - begin) / 1e3);
  }
  fs.closeSync(fd);
  fs.rmSync(file);
  const data = fs.readFileSync(process.env.BENCH_DATA).subarray(0, 16 << 20);
  const begin = process.hrtime.bigint();
  for (let at = 0; at < data.length; at += 65536) {
    zlib.deflateRawSync(data.subarray(at, at + 65536), { level: 1 });
  }
  const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
  return [`append4K+fdatasync: p50 ${median(times).toFixed(0)} us`,
    `deflate level 1, 64KiB blocks: ${(data.length / seconds / 1e6).toFixed(0)} MB/s`];
}

// ---- the table ----

const figures = [
  ['W1 push, rows/s', (r) => r.W1.rows_s, 0, true],
  ['W1 server CPU, µs/row', (r) => r.W1.srv_cpu_s * 1e6 / r.N, 1, false],
  ['W1 client CPU, µs/row', (r) => r.W1.cli_cpu_s * 1e6 / r.N, 1, false],
  ['W2 pull, rows/s', (r) => r.W2.rows_s, 0, true],
  ['W2 server CPU, µs/row', (r) => r.W2.srv_cpu_s * 1e6 / r.N, 1, false],
  ['W2 client CPU, µs/row', (r) => r.W2.cli_cpu_s * 1e6 / r.N, 1, false],
  ['W3 1,000 updates, ms', (r) => median(r.W3.map((x) => x.visible_ms)), 1, false],
  ['W3 bytes per change, both hops', (r) => median(r.W3.map((x) => x.bytes_per_change_2hops)), 1, false],
  ['W4 p50, ms', (r) => r.W4.p50_ms, 2, false],
  ['W4 p99, ms', (r) => r.W4.p99_ms, 2, false],
  ['W5 last of all live clients, ms', (r) => r[`W5_${fan}`].last_ms_p50, 1, false],
  ['W5 KiB per connection', (r) => r[`W5_${fan}`].srv_KiB_per_conn, 1, false],
  ['W6 until converged, s', (r) => r.W6.sync_s, 2, false],
  ['W6 losing edits that can be taken back, of 5,000', (r) => r.W6.survA.kept || 0, 0, true],
];

function values(results, get) {
  return results.flatMap((result) => {
    try {
      const value = get(result);
      return Number.isFinite(value) ? [value] : [];
    } catch {
      return [];
    }
  });
}

function cell(list, digits) {
  if (list.length === 0) {
    return '–';
  }
  const text = (x) => x.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const range = list.length > 1 ? ` [${text(Math.min(...list))}–${text(Math.max(...list))}]` : '';
  return text(median(list)) + range;
}

function table(sets) {
  const lines = ['| work | baseline | Satchel, NORMAL | ratio | Satchel, FULL |', '|---|---|---|---|---|'];
  for (const [name, get, digits, more] of figures) {
    const [base, normal, full] = [sets.session, sets.normal, sets.full].map((s) => values(s, get));
    const ratio = base.length && normal.length && median(base) > 0 && median(normal) > 0
      ? `${(more ? median(normal) / median(base) : median(base) / median(normal)).toFixed(2)} ×` : '–';
    lines.push(`| ${name} | ${cell(base, digits)} | ${cell(normal, digits)} | ${ratio} | ${cell(full, digits)} |`);
  }
  return lines.join('\n');
}

function report(sets, limits) {
  const converged = [...sets.normal, ...sets.full].every((r) => r.eq_after_W2[0] && r.W6.converged);
  const commit = execFileSync('git', ['-C', source, 'describe', '--always'], { encoding: 'utf8' }).trim();
  const load = os.loadavg()[0].toFixed(1);
  return [
    `${new Date().toISOString().slice(0, 16)}Z, commit ${commit}. ${os.cpus().length} × ${os.cpus()[0].model.trim()}, `
    + `${Math.round(os.totalmem() / 2 ** 30)} GiB, Linux ${os.release()}, load ${load} at the end. ${rows.toLocaleString('en-US')} rows; `
    + `runs: baseline ${sets.session.length}, Satchel NORMAL ${sets.normal.length}, FULL ${sets.full.length}; median [range]. `
    + 'A ratio above 1 says that Satchel is better. '
    + `After W2 and W6 the devices had equal rows: ${converged ? 'yes, in all runs' : 'NO'}.`,
    '', table(sets), '', 'Limits of the machine in the same run:', '', '```', ...limits, '```', '',
  ].join('\n');
}

// Between the two marks; what stands outside of them was written by people.
function write(text) {
  const file = path.join(__dirname, 'RESULTS.md');
  const [begin, end] = ['<!-- measured -->\n', '<!-- end -->\n'];
  let old = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  if (!old.includes(begin)) {
    old = `# What was measured\n\n${begin}${end}`;
  }
  const before = old.slice(0, old.indexOf(begin) + begin.length);
  fs.writeFileSync(file, `${before}\n${text}\n${old.slice(old.indexOf(end))}`);
}

async function main() {
  fs.mkdirSync(path.join(folder, 'results'), { recursive: true });
  const sets = { session: [], normal: [], full: [] };
  const one = async (set, peer, sync, works) => {
    const result = hasPeers ? harnessRun(peer, sync, works) : await ownRun(sync);
    if (result) {
      sets[set].push(result);
    }
  };
  if (!hasPeers) {
    say('no baseline here (SATCHEL_BENCH_PEERS): Satchel alone, on rows of our own');
  }
  const limits = hasPeers ? harnessLimits() : [];
  for (let i = 0; i < runs; i++) {
    const begin = Date.now();
    if (hasPeers) {
      await one('session', 'session', 'normal', {});
    }
    await one('normal', 'satchel', 'normal', { skip5: i > 0 });
    if (i === 0) {
      await one('full', 'satchel', 'full', { skip5: true });
    }
    if (left() < Date.now() - begin) {
      break;
    }
  }
  if (sets.normal.length === 0) {
    throw new Error('no run of Satchel finished');
  }
  const text = report(sets, hasPeers ? limits : ownLimits());
  process.stdout.write(text);
  if (hasPeers && !process.argv.includes('--no-write')) {
    write(text);
  }
}

module.exports = { Agent };
if (require.main === module) {
  main().catch((error) => {
    console.error(error.stack);
    process.exit(1);
  });
}
