#!/usr/bin/env node
// The exam of the simulator: each planted bug is chosen, and fresh seeds are run until an invariant
// breaks. It counts as found only if the same seed passes without the bug. Writes tests/sim/EXAM.md.
//
// run.js --program FILE [--jobs N] [--limit SECONDS] [--from SEED] [NAME...]
//   --jobs    bugs beside each other (2)       --limit   seconds for each bug (600)
//   --from    the first seed (of the day)      NAME      these bugs only; the table keeps the others
// run.js --program FILE --sample SECONDS   some bugs, others each day, from the seeds of the table:
//                                          each has to be found again; writes nothing
'use strict';
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn, execFileSync } = require('node:child_process');
const { bugs } = require('./bugs.js');

const table = path.resolve(__dirname, '../EXAM.md');

function usage(problem) {
  console.error(`run.js: ${problem}\nusage: run.js --program FILE [--jobs N] [--limit SECONDS]`
    + ' [--from SEED] [--sample SECONDS] [NAME...]');
  process.exit(2);
}

function options(args) {
  const given = { jobs: 2, limit: 600, names: [] };
  for (let i = 0; i < args.length; i++) {
    const name = args[i].replace(/^--/, '');
    if (!args[i].startsWith('--')) {
      given.names.push(args[i]);
    } else if (name === 'program' && args[i + 1]) {
      given.program = args[++i];
    } else if (['jobs', 'limit', 'from', 'sample'].includes(name) && Number(args[i + 1]) > 0) {
      given[name] = Number(args[++i]);
    } else {
      usage(`what is ${args[i]}?`);
    }
  }
  const unknown = given.names.find((name) => !bugs.some((bug) => bug.name === name));
  if (unknown || !given.program) {
    usage(unknown ? `there is no bug '${unknown}'` : 'say which --program');
  }
  given.from ??= Math.floor(Date.now() / 86400e3) % 1000 * 1000000 + 1;
  return given;
}

// Lines of a failure: "FAILED seed N: invariant: why".
function run(program, args) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    let text = '';
    child.stdout.on('data', (data) => { text = (text + data).slice(-20000); });
    child.on('close', (status, signal) => {
      const match = text.match(/^FAILED seed (\d+): ([^:\n]+)(?:: (.*))?$/m);
      resolve({
        failed: status !== 0,
        seed: match ? Number(match[1]) : null,
        invariant: match ? match[2] : `ended with ${signal ?? status}`,
        why: match?.[3] ?? '',
      });
    });
  });
}

const clean = new Map(); // seed -> its run without a bug
// Bugs of changes of the model, and of people and moves, are looked for where there are some, the others as before there
// were any.
const extras = (bug) => ['--models', bug.area === 'model changes' ? 'all' : 'none',
  '--people', bug.area === 'people and moves' ? 'all' : 'none'];
const made = revision();  // of the program, if it was built just now

// Crashes count: an assertion of the product is an invariant as well.
async function examine(given, bug, from) {
  const began = Date.now();
  const spent = () => (Date.now() - began) / 1000;
  let seed = from;
  let wrong = 0;
  while (spent() < given.limit) {
    const left = Math.max(1, given.limit - spent());
    const found = await run(given.program,
      ['--seconds', String(left), '--from', String(seed), '--branches', 'some', ...extras(bug),
        '--bug', bug.name, '--quiet']);
    if (!found.failed) {
      break;
    }
    if (found.seed === null) {
      return { bug: bug.name, found: false, why: found.invariant, seconds: spent(), seeds: 0 };
    }
    const seconds = spent();
    const name = `${found.seed} ${extras(bug).join(' ')}`;
    if (!clean.has(name)) {
      clean.set(name, run(given.program,
        ['--seed', String(found.seed), '--branches', 'some', ...extras(bug)]));
    }
    const without = await clean.get(name);
    if (!without.failed) {
      const crashed = found.invariant.startsWith('the process ended');
      return {
        bug: bug.name, found: true, invariant: crashed ? 'no crash' : found.invariant,
        seed: found.seed, seconds, seeds: found.seed - from + 1 - wrong,
      };
    }
    wrong++; /* it fails without the bug as well: a bug of the product, or of the simulator */
    console.error(`seed ${found.seed} fails without a bug as well: ${without.invariant}: ${without.why}`);
    seed = found.seed + 1;
  }
  return { bug: bug.name, found: false, seconds: spent() };
}

// ---- the table: one row for each bug, kept when it is not run again, with the revision it is of ----

function revision() {
  const git = (...args) => execFileSync('git', args, { cwd: __dirname, encoding: 'utf8' }).trim();
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no', '--', ':/*.c', ':/*.h', ':/tests/sim/exam/bugs');
    return git('rev-parse', '--short=7', 'HEAD') + (changed ? '+' : '');
  } catch {
    return '';
  }
}

function readTable() {
  const rows = new Map();
  if (fs.existsSync(table)) {
    for (const line of fs.readFileSync(table, 'utf8').split('\n')) {
      const cells = line.split('|').map((cell) => cell.trim());
      if (cells.length === 10 && /^`[a-z0-9-]+`$/.test(cells[1])) {
        rows.set(cells[1].slice(1, -1), cells.slice(3, 8));
      }
    }
  }
  return rows;
}

function cellsOf(result) {
  return result.found
    ? [result.invariant, String(result.seed), result.seconds.toFixed(1), String(result.seeds), made]
    : [`**not found** within ${Math.round(result.seconds)} s`, '', result.seconds.toFixed(1), '', made];
}

function writeTable(results) {
  const rows = readTable();
  for (const result of results) {
    rows.set(result.bug, cellsOf(result));
  }
  const known = bugs.filter((bug) => rows.has(bug.name));
  const found = known.filter((bug) => !rows.get(bug.name)[0].startsWith('**'));
  const longest = Math.max(0, ...found.map((bug) => Number(rows.get(bug.name)[2])));
  const lines = [
    '# The simulator\'s exam',
    '',
    'Written by `./dev sim --exam` (tests/sim/exam/run.js), not by hand. Each bug is planted into a copy of'
      + ' the sources (tests/sim/exam/bugs/), chosen at run time, and looked for with fresh seeds on one'
      + ' core of a machine that does other things as well; it counts as found only if the same seed'
      + ' passes without it. Again: `build/exam/bin/satchel_exam --seed SEED --bug NAME`. Of: the revision'
      + ' that the row was made with (+: and what was not committed yet); another one may need other seeds.',
    '',
    `**${found.length} of ${bugs.length} found**, the slowest after ${longest.toFixed(1)} s.`
      + (known.length < bugs.length ? ` ${bugs.length - known.length} were not looked for yet.` : ''),
    '',
    '| bug | area | broken invariant | seed | seconds | seeds | of | what it would do |',
    '|---|---|---|---|---|---|---|---|',
    ...known.map((bug) => {
      return `| \`${bug.name}\` | ${bug.area} | ${rows.get(bug.name).join(' | ')} | ${bug.why} |`;
    }),
    '',
  ];
  fs.writeFileSync(table, lines.join('\n'));
}

async function exam(given) {
  const chosen = bugs.filter((bug) => given.names.length === 0 || given.names.includes(bug.name));
  const results = [];
  let next = 0;
  const worker = async () => {
    while (next < chosen.length) {
      const bug = chosen[next++];
      const result = await examine(given, bug, given.from);
      results.push(result);
      console.log(result.found
        ? `${bug.name}: ${result.invariant}, seed ${result.seed}, ${result.seconds.toFixed(1)} s,`
          + ` ${result.seeds} seeds`
        : `${bug.name}: NOT FOUND within ${Math.round(result.seconds)} s ${result.why ?? ''}`);
      writeTable(results);
    }
  };
  await Promise.all(Array.from({ length: given.jobs }, worker));
  const missed = results.filter((result) => !result.found);
  console.log(`${results.length - missed.length} of ${results.length} planted bugs found`);
  process.exitCode = missed.length ? 1 : 0;
}

// Some bugs with the seeds that found them: quick, and it fails if the simulator has become blind.
async function sample(given) {
  const rows = [...readTable()].filter(([name, cells]) => /^\d+$/.test(cells[1])
    && Number(cells[2]) < 20 && bugs.some((bug) => bug.name === name));
  const began = Date.now();
  const day = Math.floor(began / 86400e3);
  let looked = 0;
  for (let i = 0; i < rows.length && (Date.now() - began) / 1000 < given.sample / 2; i++) {
    const [name, cells] = rows[(i * 7 + day * 13) % rows.length];
    // The seed itself may tell another story after a change: some more follow.
    const left = Math.max(1, given.sample / 2);
    const result = await run(given.program,
      ['--seconds', String(left), '--from', cells[1], ...extras(bugs.find((bug) => bug.name === name)),
        '--bug', name, '--quiet']);
    looked++;
    if (!result.failed) {
      console.error(`${name} is not found any more, from seed ${cells[1]} on`);
      process.exitCode = 1;
      return;
    }
  }
  console.log(`${looked} planted bugs found again`);
  process.exitCode = looked ? 0 : 77;
}

const given = options(process.argv.slice(2));
try {
  os.setPriority(5);
  execFileSync(given.program, ['--list'], { stdio: 'ignore' });
} catch {
  usage(`${given.program} does not run`);
}
(given.sample ? sample : exam)(given);
