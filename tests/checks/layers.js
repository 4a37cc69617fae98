#!/usr/bin/env node
// The include check. Which folder may include which is the table below; it fails on
//   - a header of ours from a layer above, or from beside (client/net from server/core),
//   - an operating system's header in a core, which has neither I/O nor a clock,
//   - a library's header outside the one adapter that is meant to use it,
//   - SQL text outside the stores, the reports and the command for it.
// Usage: layers.js [--self-test]
'use strict';
const fs = require('node:fs');
const path = require('node:path');

const root = path.resolve(__dirname, '../..');

// Lowest first. `may`: the folders whose headers this one uses; its own is always among them.
// `core`: no I/O. `public`: satchel.h and nothing else of ours.
const base = ['common', 'protocol'];
const stores = ['common/store_mem', 'common/store_sqlite'];
const layers = {
  'common': { core: true, may: [] },
  'common/os': { may: ['common'] },
  'common/store_mem': { core: true, may: ['common'] },
  'common/store_sqlite': { may: ['common'] },
  'protocol': { core: true, may: ['common'] },
  'client/core': { core: true, may: base },
  'client/net': { may: [...base, 'client/core'] },
  'client/api': { may: [...base, ...stores, 'common/os', 'client/core', 'client/net'] },
  'client/cli': { public: true },
  'client/web': { public: true },
  'server/core': { core: true, may: [...base, 'client/core'] },
  'server/store': { may: [...base, ...stores, 'client/core', 'server/core'] },
  'server/reports': { may: [...base, ...stores, 'server/core', 'server/store'] },
  'server/net': {
    may: [...base, 'client/core', 'client/net', 'server/core', 'server/store', 'server/reports'],
  },
  'server/main': {
    may: [...base, ...stores, 'common/os', 'client/core', 'client/net', 'client/api', 'server/core',
      'server/store', 'server/reports', 'server/net'],
  },
  'tests/bench': { public: true },
  'tests/bench/cores': { any: true },
  'tests/bench/fan': { any: true },
  'tests': { any: true },
};

// In a core, beside what the symbol check would find later: say it at the line.
const notInCore = new RegExp('^(sys/.*|net/.*|netinet/.*|arpa/.*|linux/.*|poll|time|pthread|threads'
  + '|unistd|fcntl|signal|netdb|dirent|termios|dlfcn|syslog|pwd|grp|spawn|semaphore|sched'
  + '|libwebsockets|sqlite3|curl/.*|openssl/(rand|ssl|bio|conf|engine))\\.h$');

const onlyIn = [
  { header: /^sqlite3\.h$/, folders: /^(common\/store_sqlite|server\/(store|reports)|tests)(\/|$)/ },
  { header: /^libwebsockets\.h$/, folders: /^(client\/net|server\/net|tests)(\/|$)/ },
  { header: /^(poll|sys\/socket|netdb)\.h$/,
    folders: /^(common\/os|client\/net|server\/net|server\/main|tests)(\/|$)/ },
];

const sql = /"[^"\n]*\b(SELECT |INSERT (INTO|OR) |DELETE FROM |UPDATE \w+ SET |CREATE (TABLE|INDEX) )/;
const sqlAllowed = /^(common\/store_sqlite\/|server\/(store|reports)\/|client\/cli\/[a-z_]*sql|server\/main\/sql\.c|tests\/)/;

function layerOf(file) {
  for (let folder = path.dirname(file); folder !== '.'; folder = path.dirname(folder)) {
    if (layers[folder]) {
      // Sources are globbed without descending, so only tests/ has folders inside a layer.
      return folder === path.dirname(file) || layers[folder].any ? folder : null;
    }
  }
  return null;
}

// Blanks comments, keeping lines and strings.
function withoutComments(text) {
  return text.replace(/"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    (match) => (match[0] === '/' ? match.replace(/[^\n]/g, ' ') : match));
}

// The problem with one include of ours, or null. `exists` tells whether a path is in the tree.
function badOwnInclude(file, folder, layer, name, exists) {
  if (layer.public) {
    const own = !name.includes('/') && exists(`${path.dirname(file)}/${name}`);
    return name === 'satchel.h' || own ? null : 'this program uses satchel.h and no other header of ours';
  }
  if (layer.any) {
    return null;
  }
  if (!name.includes('/')) {
    return `write the path from the root: "${folder}/${name}"`;
  }
  const target = layerOf(name);
  if (target === folder || layer.may.includes(target)) {
    return null;
  }
  return `${folder} may not use ${target ?? 'a folder that is no layer'}`
    + ` (it may use: ${layer.may.join(', ') || 'itself'})`;
}

function check(file, text, exists) {
  const problems = [];
  const say = (line, what) => problems.push(`${file}:${line}: ${what}`);
  const folder = layerOf(file);
  if (!folder) {
    say(1, 'this folder is no layer: add it to the table in tests/checks/layers.js');
    return problems;
  }
  const layer = layers[folder];
  withoutComments(text).split('\n').forEach((content, index) => {
    const include = content.match(/^\s*#\s*include\s*(["<])([^">]+)[">]/);
    if (include) {
      const [, quote, name] = include;
      if (quote === '"') {
        const bad = badOwnInclude(file, folder, layer, name, exists);
        if (bad) {
          say(index + 1, `#include "${name}": ${bad}`);
        }
      } else if (layer.core && notInCore.test(name)) {
        say(index + 1, `#include <${name}>: ${folder} is a core, without I/O, clock or threads`);
      } else {
        const rule = onlyIn.find((one) => one.header.test(name) && !one.folders.test(folder));
        if (rule) {
          say(index + 1, `#include <${name}>: not in ${folder}, see onlyIn in tests/checks/layers.js`);
        }
      }
    } else if (sql.test(content) && !sqlAllowed.test(file)) {
      say(index + 1, 'SQL belongs to the stores and the reports');
    }
  });
  return problems;
}

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

// Each planted line must be found, each innocent one must not.
function selfTest() {
  const exists = (name) => name === 'client/cli/cli.h';
  const cases = [
    ['common/buf.c', '#include "protocol/dot.h"', 1],
    ['common/buf.c', '#include "common/buf.h"\n#include <string.h>\n#include <stdio.h>', 0],
    ['common/buf.c', '#include "buf.h"', 1],
    ['common/buf.c', '#include "common/os/clock.h"', 1],
    ['common/deep/buf.c', '', 1],
    ['protocol/dot.c', '#include "common/buf.h"\n/* #include "client/core/push.h" */', 0],
    ['protocol/dot.c', '#include "client/core/push.h"', 1],
    ['client/core/push.c', '#include "common/store.h"\n#include "protocol/dot.h"', 0],
    ['client/core/push.c', '#include "client/net/ws.h"', 1],
    ['client/core/push.c', '#include <time.h>\n#include <sys/socket.h>\n# include <sqlite3.h>', 3],
    ['client/core/push.c', '#include <openssl/rand.h>', 1],
    ['client/core/push.c', 'const char *q = "SELECT 1";', 1],
    ['client/core/push.c', '/* SELECT x, "SELECT x" */ const char *q = "select one";', 0],
    ['client/net/ws.c', '#include <libwebsockets.h>\n#include "client/core/push.h"', 0],
    ['client/net/ws.c', '#include "client/api/satchel.h"', 1],
    ['client/api/open.c', '#include <libwebsockets.h>', 1],
    ['client/api/open.c', '#include <sqlite3.h>', 1],
    ['client/cli/add.c', '#include "satchel.h"\n#include "cli.h"\n#include <jansson.h>', 0],
    ['client/cli/add.c', '#include "common/buf.h"', 1],
    ['client/cli/add.c', '#include "client/api/satchel.h"', 1],
    ['client/cli/sql.c', 'puts("INSERT INTO t");', 0],
    ['server/core/feed.c', '#include "client/core/push.h"', 0],
    ['server/core/feed.c', '#include "server/net/http.h"', 1],
    ['server/core/feed.c', '#include "client/api/satchel.h"', 1],
    ['server/main/main.c', '#include "server/net/http.h"\n#include "common/os/clock.h"', 0],
    ['tests/unit/test_push.c', '#include "client/core/push.h"\n#include <sqlite3.h>', 0],
    ['tests/bench/agent.c', '#include "common/buf.h"', 1],
  ];
  const wrong = cases.filter(([file, text, count]) => check(file, text, exists).length !== count);
  for (const [file, text, count] of wrong) {
    console.error(`self-test: ${file}: expected ${count} findings in:\n${text}`);
    console.error(check(file, text, exists));
  }
  console.log(`layers: self-test, ${cases.length - wrong.length} of ${cases.length} cases right`);
  return wrong.length;
}

function main() {
  if (process.argv[2] === '--self-test') {
    return selfTest();
  }
  const files = ['common', 'protocol', 'client', 'server', 'tests'].flatMap((top) => [...sources(top)]);
  const problems = files.flatMap((file) => check(file,
    fs.readFileSync(path.join(root, file), 'utf8'), (name) => fs.existsSync(path.join(root, name))));
  problems.forEach((problem) => console.error(problem));
  console.log(`layers: ${files.length} files, ${problems.length} problems`);
  return problems.length;
}

process.exitCode = main() ? 1 : 0;
