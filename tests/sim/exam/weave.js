#!/usr/bin/env node
// Weaves the planted bugs into a copy of the sources. The product itself has no switches for them: a
// bug is a place in a file that occurs exactly once, and what stands there instead, where PLANTED is
// true when this bug is the one that was chosen at run time. So one build holds all of them.
//
// weave.js --check     every place still occurs exactly once (a change of the sources makes bugs rot)
// weave.js --list      number, name, area
// weave.js FOLDER      the woven sources, for tests/sim/exam/CMakeLists.txt
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { bugs } = require('./bugs.js');

const root = path.resolve(__dirname, '../../..');
const folders = ['common', 'common/os', 'common/store_mem', 'common/store_sqlite', 'protocol',
  'client/core', 'server/core', 'tests/lib', 'tests/sim', 'tests/sim/exam'];

function editsOf(bug) {
  return [{ file: bug.file, edits: bug.edits }, ...(bug.more ?? [])]
    .flatMap(({ file, edits }) => edits.map(([find, replace]) => ({ bug, file, find, replace })));
}

// All edits by file, with their places; problems are collected, not thrown.
function placed(problems) {
  const files = new Map();
  for (const edit of bugs.flatMap(editsOf)) {
    if (!files.has(edit.file)) {
      files.set(edit.file, { text: fs.readFileSync(path.join(root, edit.file), 'utf8'), edits: [] });
    }
    const { text, edits } = files.get(edit.file);
    const at = text.indexOf(edit.find);
    if (at < 0) {
      problems.push(`${edit.bug.name}: ${edit.file} does not have this any more:\n${edit.find}`);
    } else if (text.indexOf(edit.find, at + 1) >= 0) {
      problems.push(`${edit.bug.name}: ${edit.file} has this more than once:\n${edit.find}`);
    } else {
      edits.push({ ...edit, at });
    }
  }
  for (const [file, { edits }] of files) {
    edits.sort((a, b) => a.at - b.at);
    for (let i = 1; i < edits.length; i++) {
      if (edits[i].at < edits[i - 1].at + edits[i - 1].find.length) {
        problems.push(`${edits[i].bug.name} and ${edits[i - 1].bug.name} overlap in ${file}`);
      }
    }
  }
  return files;
}

function checkForm(problems) {
  const names = new Set();
  for (const bug of bugs) {
    const whole = bug.name && bug.area && bug.why && bug.file && bug.edits?.length;
    if (!whole || names.has(bug.name) || !/^[a-z0-9-]+$/.test(bug.name)) {
      problems.push(`${bug.name}: a bug has a name of its own, area, why, file and edits`);
    }
    names.add(bug.name);
    if (!editsOf(bug).some(({ replace }) => replace.includes('PLANTED'))) {
      problems.push(`${bug.name}: nothing in it asks for PLANTED`);
    }
  }
}

function woven({ text, edits }) {
  let out = '';
  let from = 0;
  for (const { bug, at, find, replace } of edits) {
    const number = bugs.indexOf(bug) + 1;
    out += text.slice(from, at) + replace.replaceAll('PLANTED', `satchel_planted(${number})`);
    from = at + find.length;
  }
  return out + text.slice(from);
}

function writeIfChanged(file, text) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  if (!fs.existsSync(file) || fs.readFileSync(file, 'utf8') !== text) {
    fs.writeFileSync(file, text);
  }
}

function plantedSource() {
  return `/* Made by weave.js. */
#include "tests/sim/exam/planted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int satchel_planted_bug;

static const char *const names[] = {
${bugs.map((bug) => `    "${bug.name}",\n`).join('')}};

void satchel_plant(const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            satchel_planted_bug = (int)i + 1;
    if (satchel_planted_bug == 0) {
        (void)fprintf(stderr, "there is no planted bug '%s'\\n", name);
        exit(2);
    }
}
`;
}

function weave(out, files) {
  for (const folder of folders) {
    for (const name of fs.readdirSync(path.join(root, folder))) {
      const file = `${folder}/${name}`;
      if (/\.[ch]$/.test(name)) {
        const known = files.get(file);
        writeIfChanged(path.join(out, file),
          known ? woven(known) : fs.readFileSync(path.join(root, file), 'utf8'));
      }
    }
  }
  writeIfChanged(path.join(out, 'tests/sim/exam/planted.c'), plantedSource());
}

const problems = [];
checkForm(problems);
const files = placed(problems);
if (problems.length) {
  console.error(problems.join('\n'));
  console.error(`${problems.length} problems: mend tests/sim/exam/bugs/`);
  process.exit(1);
}
const [what] = process.argv.slice(2);
if (what === '--list') {
  bugs.forEach((bug, i) => console.log(`${i + 1}  ${bug.name}  (${bug.area})`));
} else if (what && what !== '--check') {
  weave(path.resolve(what), files);
} else {
  console.log(`${bugs.length} planted bugs, each with its places`);
}
