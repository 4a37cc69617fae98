#!/usr/bin/env node
// The length check: functions up to 70 lines (from brace to brace), files up to 600. What is longer
// stands in length_exceptions.txt with its own limit and the reason. Prints the longest.
'use strict';
const fs = require('node:fs');
const path = require('node:path');

const root = path.resolve(__dirname, '../..');
const limits = { function: 70, file: 600 };

function* sources(folder) {
  for (const entry of fs.readdirSync(path.join(root, folder), { withFileTypes: true })) {
    const name = `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      yield* sources(name);
    } else if (/\.[ch]$/.test(name)) {
      yield name;
    }
  }
}

// With our braces a function's body opens and closes in the first column.
function functionsOf(lines) {
  const found = [];
  let start = -1;
  lines.forEach((line, index) => {
    if (line === '{') {
      start = index;
    } else if (line === '}' && start >= 0) {
      let head = '';
      for (let i = start - 1; i >= 0 && /[^;}/]$/.test(lines[i]) && lines[i] !== ''; i--) {
        head = `${lines[i]} ${head}`;
      }
      const name = head.match(/(\w+)\s*\(/);
      found.push({ name: name ? name[1] : `line ${start + 1}`, length: index - start + 1 });
      start = -1;
    }
  });
  return found;
}

// "path[:function] limit reason"
function readExceptions() {
  const text = fs.readFileSync(path.join(__dirname, 'length_exceptions.txt'), 'utf8');
  const exceptions = new Map();
  for (const line of text.split('\n')) {
    if (line.trim() && !line.startsWith('#')) {
      const match = line.match(/^(\S+)\s+(\d+)\s+(\S.*)$/);
      if (!match) {
        throw new Error(`length_exceptions.txt: not "path[:function] limit reason": ${line}`);
      }
      exceptions.set(match[1], { limit: Number(match[2]), used: false });
    }
  }
  return exceptions;
}

const exceptions = readExceptions();
const all = { function: [], file: [] };
for (const file of ['common', 'protocol', 'client', 'server', 'tests'].flatMap((t) => [...sources(t)])) {
  const lines = fs.readFileSync(path.join(root, file), 'utf8').replace(/\n$/, '').split('\n');
  all.file.push({ name: file, length: lines.length });
  for (const one of functionsOf(lines)) {
    all.function.push({ name: `${file}:${one.name}`, length: one.length });
  }
}

let problems = 0;
for (const kind of ['function', 'file']) {
  const sorted = all[kind].sort((a, b) => b.length - a.length);
  for (const one of sorted) {
    const exception = exceptions.get(one.name);
    if (exception && one.length > limits[kind]) {
      exception.used = true;
    }
    const limit = exception ? exception.limit : limits[kind];
    if (one.length > limit) {
      console.error(`${one.name}: ${one.length} lines, the limit is ${limit}`);
      problems++;
    }
  }
  const median = sorted.length ? sorted[Math.floor(sorted.length / 2)].length : 0;
  console.log(`lengths: ${sorted.length} ${kind}s, median ${median}, the longest: `
    + (sorted.slice(0, 5).map((one) => `${one.name} ${one.length}`).join(', ') || 'none'));
}
for (const [name, exception] of exceptions) {
  if (!exception.used) {
    console.error(`length_exceptions.txt: ${name} needs no exception any more: remove it`);
    problems++;
  }
}
process.exitCode = problems ? 1 : 0;
