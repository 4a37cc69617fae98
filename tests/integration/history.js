// history.js - what a client of the workload did, one line per event in a file of its own: a line before
// each operation begins (invoke), and one when it is known how it ended:
//
//   ok        the program said so: from here on it must not be lost
//   failed    the program said no: it must not have any effect
//   unknown   the program was killed: it happened once or not at all
//
// An operation without an end is unknown as well: whoever wrote the file was killed. A read (ok) has in
// `value` what was seen. Operations of one client follow one another.
'use strict';
const fs = require('node:fs');
const path = require('node:path');

class History {
  constructor(folder, client) {
    this.client = client;
    this.file = path.join(folder, `${client}.history`);
    this.fd = fs.openSync(this.file, 'a');
    this.count = 0;
  }

  line(event) {
    fs.writeSync(this.fd, `${JSON.stringify(event)}\n`);
  }

  // Returns the function that writes how it ended.
  invoke(op, fields = {}) {
    const n = ++this.count;
    this.line({ n, at: Date.now(), phase: 'invoke', op, ...fields });
    return (phase, more = {}) => this.line({ n, at: Date.now(), phase, ...more });
  }

  close() {
    fs.closeSync(this.fd);
  }
}

// The operations of one client in order: { client, n, op, ..., result, value? }. A last line that was
// cut is as if it had not been written.
function parse(client, text) {
  const operations = [];
  const open = new Map();
  for (const line of text.split('\n').slice(0, -1)) {
    const { phase, at, ...event } = JSON.parse(line);
    if (phase === 'invoke') {
      const operation = { client, ...event, from: at, until: null, result: 'unknown' };
      open.set(event.n, operation);
      operations.push(operation);
    } else {
      const operation = open.get(event.n);
      if (!operation) {
        throw new Error(`${client}: event ${event.n} ends without a beginning`);
      }
      Object.assign(operation, event, { until: at, result: phase });
      open.delete(event.n);
    }
  }
  return operations;
}

// All histories of a folder, by client.
function load(folder) {
  const histories = {};
  for (const name of fs.readdirSync(folder).filter((file) => file.endsWith('.history')).sort()) {
    const client = name.slice(0, -'.history'.length);
    histories[client] = parse(client, fs.readFileSync(path.join(folder, name), 'utf8'));
  }
  return histories;
}

module.exports = { History, parse, load };
