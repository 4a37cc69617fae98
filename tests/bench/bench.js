#!/usr/bin/env node
// bench.js - the works W1 to W6 with the real server and the agent over satchel.h, TLS on: beside the
// machine's limits and the baseline in one run; the table goes to the terminal and to RESULTS.md.
//   bench.js [--runs N] [--rows N] [--no-write]      rows: 10,000 or more; the other harness: 100,000
// The folder with the other harness, the baseline and the limits is SATCHEL_BENCH_PEERS, else
// ../shared/bench beside the source. Without it: our own works and limits alone (works.js).
'use strict';
const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const works = require('./works.js');

const source = path.resolve(__dirname, '../..');
const peers = process.env.SATCHEL_BENCH_PEERS || path.join(source, '../shared/bench');
const bin = process.env.SATCHEL_BIN || path.join(source, 'build/release/bin');
const settings = ['normal', 'full'];
const LIMIT_MS = 9 * 60000; // a round of all peers that would end later is left out

function parseOptions(words) {
  const options = { runs: 3, rows: 100000, write: true };
  for (let i = 0; i < words.length; i++) {
    if (words[i] === '--no-write') {
      options.write = false;
    } else if ((words[i] === '--runs' || words[i] === '--rows') && Number(words[i + 1]) > 0) {
      options[words[i].slice(2)] = Number(words[++i]);
      options.rows = Math.max(options.rows, 10000);
    } else {
      console.error('usage: bench.js [--runs N] [--rows N] [--no-write]');
      process.exit(2);
    }
  }
  return options;
}

// ---- with the folder of peers ----

// The baseline's client has its `synchronous` compiled in: for FULL a copy is built.
function buildBaseline(folder, sync) {
  const text = fs.readFileSync(path.join(peers, 'sess.c'), 'utf8');
  const file = path.join(folder, 'sess.c');
  const target = path.join(folder, 'bin');
  fs.mkdirSync(target, { recursive: true });
  fs.writeFileSync(file, sync === 'full' ? text.replaceAll('"NORMAL"', '"FULL"') : text);
  execFileSync('gcc', ['-O2', '-w', '-I', peers, '-o', path.join(target, 'sess'), file,
    '-lsqlite3', '-lz']);
}

// fans: with W5, whose 1,000 enrolments take the longest.
function runPeer(name, folder, sync, options, fans) {
  const env = {
    ...process.env, BENCH_DIR: folder, PEERS: name === 'satchel' ? __dirname : peers,
    SATCHEL_BIN: bin, SATCHEL_BENCH_SYNC: sync, IDLE: process.env.IDLE || '3',
    O: JSON.stringify({ N: options.rows, skip5: !fans }),
  };
  const results = path.join(folder, 'results', `${name}.jsonl`);
  fs.rmSync(results, { force: true });
  const done = spawnSync('sh', [path.join(peers, 'run'), name],
    { env, stdio: ['ignore', 'inherit', 'inherit'] });
  if (done.status !== 0) {
    throw new Error(`${name} (${sync}) ended with ${done.status}`);
  }
  return fs.readFileSync(results, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

function withPeers(folder, options) {
  const start = Date.now();
  const rows = [];
  const limits = execFileSync('sh', [path.join(peers, 'run'), 'limits'],
    { env: { ...process.env, BENCH_DIR: folder }, encoding: 'utf8' });
  console.log(limits);
  for (const sync of settings) {
    buildBaseline(path.join(folder, sync), sync);
    for (const name of ['session', 'satchel']) {
      rows.push({ peer: name, name: name === 'session' ? 'baseline' : name, sync, results: [] });
    }
  }
  for (let run = 0, slowest = 0; run < options.runs; run++) {
    const begin = Date.now();
    if (run > 0 && begin + slowest - start > LIMIT_MS) {
      console.log(`${run} of ${options.runs} runs: there is no time for more.`);
      break;
    }
    for (const row of rows) {
      row.results.push(...runPeer(row.peer, path.join(folder, row.sync), row.sync, options,
        run === 0 && row.sync === 'normal'));
    }
    slowest = Math.max(slowest, Date.now() - begin);
  }
  return { limits, rows };
}

// ---- without ----

async function alone(folder, options) {
  const data = path.join(folder, 'data.jsonl');
  works.makeData(data, options.rows);
  process.env.BENCH_DATA = data;
  process.env.BENCH_HARNESS = path.join(__dirname, 'works.js');
  process.env.SATCHEL_BIN = bin;
  const limits = await works.limits(folder, data);
  console.log(limits);
  const rows = [];
  for (const sync of settings) {
    process.env.SATCHEL_BENCH_SYNC = sync;
    delete require.cache[require.resolve('./peer_satchel.js')];
    const results = [];
    for (let i = 0; i < options.runs; i++) {
      const place = path.join(folder, `${sync}-${i}`);
      results.push(await works.run(require('./peer_satchel.js'), place, 7801, options.rows));
      fs.rmSync(place, { recursive: true, force: true });
    }
    rows.push({ name: 'satchel', sync, results });
  }
  return { limits, rows };
}

// ---- the table ----

const columns = [
  { title: 'W1 push rows/s', more: true, of: (r) => r.W1?.rows_s },
  { title: 'W1 CPU, server, client µs/row', of: (r) => r.W1?.srv_cpu_s * 1e6 / r.N,
    and: (r) => r.W1?.cli_cpu_s * 1e6 / r.N },
  { title: 'W2 pull rows/s', more: true, of: (r) => r.W2?.rows_s },
  { title: 'W2 CPU, server, client µs/row', of: (r) => r.W2?.srv_cpu_s * 1e6 / r.N,
    and: (r) => r.W2?.cli_cpu_s * 1e6 / r.N },
  { title: 'W3 1,000 updates ms', of: (r) => r.W3 && works.quantile(r.W3.map((x) => x.visible_ms), 0.5) },
  { title: 'W3 bytes per change', of: (r) => r.W3?.[0].bytes_per_change_2hops },
  { title: 'W4 p50 ms', of: (r) => r.W4?.p50_ms },
  { title: 'W4 p99 ms', of: (r) => r.W4?.p99_ms },
  { title: 'W5 last of 1,000 ms', of: (r) => r.W5_1000?.last_ms_p50 },
  { title: 'W5 KiB per connection', of: (r) => r.W5_1000?.srv_KiB_per_conn },
  { title: 'W6 s', of: (r) => r.W6?.sync_s },
];

function short(value) {
  return value >= 1000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
}

function numbers(row, of) {
  return row.results.map(of).filter((value) => Number.isFinite(value));
}

// "median [least-most] ratio": above 1 is better than the baseline of the same setting.
function cell(row, column, baseline) {
  const values = numbers(row, column.of);
  if (values.length === 0) {
    return 'not run';
  }
  const median = works.quantile(values, 0.5);
  let text = short(median);
  if (values.length > 1) {
    text += ` [${short(Math.min(...values))}-${short(Math.max(...values))}]`;
  }
  if (column.and) {
    return `${short(median)}, ${short(works.quantile(numbers(row, column.and), 0.5))}`;
  }
  const theirs = baseline && baseline !== row ? numbers(baseline, column.of) : [];
  const other = theirs.length > 0 ? works.quantile(theirs, 0.5) : 0;
  if (other > 0 && median > 0) {
    text += ` x${(column.more ? median / other : other / median).toFixed(2)}`;
  }
  return text;
}

// What became of the edits of W6, and whether the replicas agree.
function remarks(row) {
  return row.results.map((r, i) => {
    const parts = [r.error, r.eq_after_W2 && !r.eq_after_W2[0] && 'replicas differ after W2',
      r.W6 && !r.W6.converged && 'W6 did not converge'].filter(Boolean);
    if (r.W6?.survA) {
      parts.push(`W6 ${JSON.stringify(r.W6.survA)}`);
    }
    return `${row.name} ${row.sync} run ${i + 1}: ${parts.join('; ') || 'W6 not run'}`;
  });
}

function table(rows) {
  const lines = [`| | ${columns.map((c) => c.title).join(' | ')} |`,
    `|---|${columns.map(() => '---|').join('')}`];
  for (const row of rows) {
    const baseline = rows.find((other) => other.name === 'baseline' && other.sync === row.sync);
    lines.push(`| ${row.name}, client ${row.sync.toUpperCase()} | ${
      columns.map((c) => cell(row, c, baseline)).join(' | ')} |`);
  }
  return lines.join('\n');
}

function report(found, options) {
  const load = os.loadavg().map((x) => x.toFixed(1)).join(' ');
  return `# Results of the last run

${new Date().toISOString()}; ${os.cpus().length} x ${os.cpus()[0]?.model.trim()}, ${
  Math.round(os.totalmem() / 2 ** 30)} GiB, ${os.type()} ${os.release()}, node ${process.version};
load averages at the end (1, 5, 15 minutes): ${load}. ${options.rows.toLocaleString('en')} rows, ${
  found.rows[0].results.length} run(s) of each. Server at synchronous=FULL; Satchel with TLS 1.3.

Median (of two: the higher) [least-most]; xN is the ratio to the baseline of the same setting, above 1 is better.

${table(found.rows)}

What became of the edits of W6 (phoneA, cityB: different fields, 5,000 each; notesA, notesB: the same
field; conflicts: records of what lost):

${found.rows.flatMap(remarks).map((line) => `- ${line}`).join('\n')}

Limits of the machine:

\`\`\`
${found.limits.trim()}
\`\`\`
`;
}

// What people wrote below the figures stays: all from the first heading of the second level on.
function keepText(file) {
  const old = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  const at = old.indexOf('\n## ');
  return at < 0 ? '' : old.slice(at);
}

async function main() {
  const options = parseOptions(process.argv.slice(2));
  for (const program of ['satcheld', 'satchel_bench_agent']) {
    if (!fs.existsSync(path.join(bin, program))) {
      throw new Error(`there is no ${path.join(bin, program)}: build first (./dev bench does)`);
    }
  }
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'satchel-bench-'));
  try {
    const there = fs.existsSync(path.join(peers, 'harness.js'));
    if (!there) {
      console.log('The folder of peers is absent: our own works and limits alone.');
    }
    const found = there ? withPeers(folder, options) : await alone(folder, options);
    const text = report(found, options);
    console.log(text);
    if (options.write) {
      const file = path.join(__dirname, 'RESULTS.md');
      fs.writeFileSync(file, text + keepText(file));
    }
    process.exitCode = found.rows.some((row) => row.results.some((r) => r.error)) ? 1 : 0;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
