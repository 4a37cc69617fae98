// workload.js - clients that write, sync and read with the real program, each at its own pace and from its
// own stream of random choices, and write down what they did (history.js). A live sync keeps its replica
// for itself, so a client writes, then syncs once or stays connected for a while and reads beside that.
'use strict';
const fs = require('node:fs');
const lib = require('./lib.js');

const OPERATION_LIMIT_MS = 20000;
const SYNC_LIMIT_MS = 6000; // then it is killed: a stalled connection is given up only after 45 s

const SHARED = { counters: ['up', 'mixed'], sets: ['tags'], texts: ['notes'], registers: ['shared-1', 'shared-2'] };
// One statement, so one snapshot; with it all that a conflict record keeps of what merges did not show.
const READ = `SELECT code, website, tags, loyalty_points AS points, notes,
  (SELECT json_group_array(json(candidates)) FROM conflict WHERE conflict.record = party.id) AS conflicts
  FROM party`;

// The values and the lines of texts in all conflict records of one record.
function conflictsOf(row) {
  const values = JSON.parse(row.conflicts || '[]').flat().flatMap((candidate) => Object.values(candidate.value || {}));
  return [...new Set(values.filter((value) => typeof value === 'string')
    .flatMap((value) => value.split('\n')).filter((line) => line !== ''))].sort();
}

// What a read saw, in the form of checkers.js.
function stateOf(rows) {
  const state = { codes: [], counters: {}, sets: {}, texts: {}, registers: {}, conflicts: {} };
  for (const row of rows) {
    const conflicts = conflictsOf(row);
    if (conflicts.length) {
      state.conflicts[row.code] = conflicts;
    }
    if (SHARED.counters.includes(row.code)) {
      state.counters[row.code] = row.points;
    } else if (SHARED.sets.includes(row.code)) {
      state.sets[row.code] = JSON.parse(row.tags || '[]');
    } else if (SHARED.texts.includes(row.code)) {
      state.texts[row.code] = (row.notes || '').split('\n').filter((line) => line !== '');
    } else if (SHARED.registers.includes(row.code) || row.code.startsWith('own-')) {
      state.registers[row.code] = row.website;
    } else {
      state.codes.push(row.code);
    }
  }
  return state;
}

// The records that all clients know before the faults begin.
async function prepare(device, clients) {
  for (const code of [...Object.values(SHARED).flat(), ...clients.map((name) => `own-${name}`)]) {
    await device.must('add', 'party', `code=${code}`, `name=${code}`, 'loyalty_points=0');
  }
  await device.sync();
}

// satchel says that what was asked is not there: a shared record that has not come here yet.
const NOT_FOUND = 1;

class Client {
  // chance: the probability of a kill -9 in the middle of a write, of a sync.
  constructor({ name, device, history, random, chance }) {
    Object.assign(this, { name, device, history, random, chance, number: 0, mine: [], elements: [],
      over: false, live: null, counts: { writes: 0, reads: 0, syncs: 0, lives: 0, kills: 0, stops: 0 },
      failures: [], errors: {} });
  }

  unique(kind) {
    return `${kind}:${this.name}-${++this.number}`;
  }

  // Runs to its end, or kills it in its middle. { code, signal, out, err, killed }
  async program(args, killAfterMs) {
    const job = this.device.start(...args);
    let killed = false;
    const timer = setTimeout(() => {
      killed = true;
      this.counts.kills++;
      job.kill();
    }, killAfterMs ?? OPERATION_LIMIT_MS);
    const result = await job.done;
    clearTimeout(timer);
    return { ...result, killed: killed && result.signal === 'SIGKILL' };
  }

  // One write, written down. Returns how it ended.
  async write(op, fields, args) {
    const kill = this.random.chance(this.chance.killWrite) ? this.random.between(1, 60) : undefined;
    const end = this.history.invoke(op, fields);
    const result = await this.program(args, kill);
    this.counts.writes++;
    const outcome = result.killed ? 'unknown' : result.code === 0 ? 'ok' : 'failed';
    end(outcome);
    if (outcome === 'failed' && result.code !== NOT_FOUND) {
      this.failures.push(`${op} ${JSON.stringify(fields)}: exit ${result.code} ${result.err}`);
    }
    return outcome;
  }

  async read() {
    const end = this.history.invoke('read');
    const result = await this.program(['--json', 'sql', READ]);
    this.counts.reads++;
    if (result.code !== 0) {
      end('failed');
      this.failures.push(`read: exit ${result.code ?? result.signal} ${result.err}`);
      return null;
    }
    const state = stateOf(JSON.parse(result.out));
    end('ok', { value: state });
    return state;
  }

  insert() {
    const key = this.unique('r');
    this.mine.push(key);
    return this.write('insert', { key }, ['add', 'party', `code=${key}`, `name=${key}`]);
  }

  // Many transactions in one program: a long push, to be cut in its middle.
  async batch() {
    const keys = Array.from({ length: this.random.between(10, 40) }, () => this.unique('r'));
    const file = `${this.device.dir}-batch.csv`;
    fs.writeFileSync(file, `code,name\n${keys.map((key) => `${key},${key}`).join('\n')}\n`);
    const kill = this.random.chance(this.chance.killWrite) ? this.random.between(1, 100) : undefined;
    const ends = keys.map((key) => this.history.invoke('insert', { key }));
    const result = await this.program(['import', file, '--table', 'party', '--batch', '1'], kill);
    this.counts.writes += keys.length;
    if (!result.killed && result.code !== 0) {
      this.failures.push(`import: exit ${result.code} ${result.err}`);
    }
    // What an import that failed has written is not told here: some rows or none.
    ends.forEach((end) => end(result.code === 0 ? 'ok' : 'unknown'));
  }

  async remove() {
    const key = this.mine.splice(this.random.below(this.mine.length), 1)[0];
    if (key) {
      await this.write('remove', { key }, ['rm', 'party', key, '--yes']);
    }
  }

  async change(kind) {
    const state = await this.read();
    if (!state) {
      return;
    }
    const key = this.random.pick(SHARED[kind]);
    if (kind === 'counters') {
      const delta = key.startsWith('up') ? this.random.between(1, 9) : this.random.between(-20, 20);
      await this.write('count', { key, delta },
        ['set', 'party', key, `loyalty_points=${state.counters[key] + delta}`]);
    } else if (kind === 'sets') {
      await this.changeSet(key, state.sets[key]);
    } else if (kind === 'texts') {
      const line = this.unique('l');
      await this.write('append', { key, line },
        ['set', 'party', key, `notes=${[...state.texts[key], line].join('\n')}`]);
    } else {
      const register = this.random.chance(0.5) ? `own-${this.name}` : key;
      const value = this.unique('v');
      await this.write('put', { key: register, value, saw: state.registers[register] ?? null },
        ['set', 'party', register, `website=${value}`]);
    }
  }

  async changeSet(key, shown) {
    const own = this.elements.filter((element) => shown.includes(element));
    if (own.length && this.random.chance(0.4)) {
      const element = this.random.pick(own);
      this.elements = this.elements.filter((other) => other !== element);
      await this.write('set_remove', { key, element },
        ['set', 'party', key, `tags=${JSON.stringify(shown.filter((e) => e !== element))}`]);
      return;
    }
    const element = this.unique('e');
    this.elements.push(element);
    await this.write('set_add', { key, element },
      ['set', 'party', key, `tags=${JSON.stringify([...shown, element])}`]);
  }

  // One exchange, perhaps killed, perhaps stopped for a while in its middle.
  async sync() {
    this.counts.syncs++;
    const fate = this.random.weighted({ whole: 3, kill: this.chance.killSync, stop: this.chance.stop });
    const after = this.random.between(1, 250);
    const job = this.device.start('--json', 'sync');
    if (fate === 'stop') {
      this.suspend(job, after, this.random.between(100, 1500));
    }
    const timer = setTimeout(() => { this.counts.kills++; job.kill(); }, fate === 'kill' ? after : SYNC_LIMIT_MS);
    const result = await job.done;
    clearTimeout(timer);
    this.tell(result);
  }

  // SIGSTOP, and SIGCONT after a while.
  suspend(job, afterMs, forMs) {
    this.counts.stops++;
    setTimeout(() => {
      job.kill('SIGSTOP');
      setTimeout(() => job.kill('SIGCONT'), forMs);
    }, afterMs);
  }

  // Network errors are what this is about; anything else is a failure.
  tell(result) {
    if (result.code === 0 || result.signal === 'SIGKILL') {
      return;
    }
    const text = (result.err.trim() || result.out.trim()).split('\n').pop();
    const kind = text.replace(/\d{3,}/g, 'N').slice(0, 120);
    this.errors[kind] = (this.errors[kind] || 0) + 1;
    if (result.code !== 4) {
      this.failures.push(`sync: exit ${result.code ?? result.signal} ${result.err}${result.out}`);
    }
  }

  async stayLive() {
    this.counts.lives++;
    const until = Date.now() + this.random.between(500, 4000);
    const job = this.device.live();
    if (this.random.chance(this.chance.stop)) {
      this.suspend(job, this.random.between(100, 2000), this.random.between(100, 2000));
    }
    while (Date.now() < until && !job.ended && !this.over) {
      await this.read();
      await lib.sleep(this.random.between(20, 200));
    }
    if (this.random.chance(this.chance.killSync)) {
      this.counts.kills++;
      job.kill();
    } else {
      job.kill('SIGTERM');
    }
    const timer = setTimeout(() => job.kill(), SYNC_LIMIT_MS); // it may be stopped
    const result = await job.done;
    clearTimeout(timer);
    this.tell(result);
  }

  async step() {
    const what = this.random.weighted({ insert: 4, batch: 0.4, remove: 1, counters: 4, sets: 3, texts: 2,
      registers: 3, sync: 6, live: 1.5, read: 2 });
    if (what === 'sync') {
      await this.sync();
      await this.read();
    } else if (what === 'live') {
      await this.stayLive();
      await this.read();
    } else if (['counters', 'sets', 'texts', 'registers'].includes(what)) {
      await this.change(what);
    } else {
      await this[what]();
    }
  }

  async run() {
    while (!this.over) {
      await this.step();
    }
  }
}

module.exports = { Client, prepare, stateOf, READ, SHARED };
