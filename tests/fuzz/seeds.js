#!/usr/bin/env node
// seeds.js - writes the first inputs of the codec targets from the golden vectors and the bombs of
// tests/vectors: corpus/<target>/seed-<name>. What the fuzzers found beside lies there as well.
'use strict';
const fs = require('fs');
const path = require('path');

const vectors = path.join(__dirname, '..', 'vectors');
const CODES = ['HELLO', 'CHALLENGE', 'ENROL', 'ENROLLED', 'PROVE', 'WELCOME', 'FAILURE', 'PUSH', 'PART',
  'ACK', 'FORK', 'SUBSCRIBE', 'PAGE', 'CHECKPOINT', 'CREDIT', 'PING', 'PONG', 'DISCARD',
  'RELAY', 'FOLLOW', 'FATES', 'PENDING', ...Array(3), 'OFFER', 'STATES', 'WANT', 'CHUNK', 'RANGES', 'DIFFERENCES'];

function write(target, name, ...pieces) {
  const folder = path.join(__dirname, 'corpus', target);
  fs.mkdirSync(folder, {recursive: true});
  fs.writeFileSync(path.join(folder, 'seed-' + name.toLowerCase().replace(/[^a-z0-9]+/g, '-')),
    Buffer.concat(pieces.map((piece) => Buffer.from(piece))));
}

function* each(file) {
  for (const vector of JSON.parse(fs.readFileSync(path.join(vectors, file))).vectors)
    yield [vector.name, Buffer.from(vector.hex, 'hex')];
}

function frame(code, payload) {
  const head = Buffer.alloc(6);
  head[0] = code;
  head.writeUInt32BE(payload.length, 2);
  return Buffer.concat([head, payload]);
}

let n = 0;
for (const [name, bytes] of each('messages.json')) {
  const code = CODES.indexOf(name) + 1;
  n++;
  write('scan', `${name}-${n}`, [code], bytes);
  write('frame', `${name}-${n}`, frame(code, bytes));
}
for (const [name, bytes] of each('frames.json'))
  write('frame', name, bytes);
for (const [name, bytes] of each('groups.json'))
  write('group', name, bytes);
const tables = ['branch', 'user', 'device', 'origin', 'conflict', 'item', 'count'];
for (const [name, bytes] of each('versions.json'))
  write('version', name, [tables.indexOf('item')], bytes);
for (const [name, bytes] of each('pages.json'))
  write('page', name, bytes);
for (const file of fs.readdirSync(path.join(vectors, 'bombs'))) {
  const bytes = fs.readFileSync(path.join(vectors, 'bombs', file));
  const [, target, name] = /^([a-z]+)-(.*)\.bin$/.exec(file);
  if (bytes.length < 10000)
    write(target, 'bomb-' + name, ...(target === 'scan' ? [[8], bytes] : [bytes]));
}
