// checkers.test.js - each checker of checkers.js is content with a history that is right, and finds each
// of the wrongs that are put into it.
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { parse } = require('./history.js');
const { checkers, checkAll } = require('./checkers.js');

function state(changes = {}) {
  return {
    codes: ['r:a-1', 'r:b-1'], counters: { up: 7, mixed: -1 }, sets: { tags: ['e:a-1'] },
    texts: { notes: ['l:a-1', 'l:b-1'] }, registers: { shared: 'v:b-1', 'own-a': 'v:a-2' },
    conflicts: { notes: ['l:b-2'] }, ...changes,
  };
}

// As a client's file has it: [op, fields, phase, value] each.
function history(client, ...operations) {
  const lines = operations.flatMap(([op, fields, phase, value], i) => [
    JSON.stringify({ n: i + 1, at: 10 * i, phase: 'invoke', op, ...fields }),
    ...(phase ? [JSON.stringify({ n: i + 1, at: 10 * i + 5, phase, ...(value ? { value } : {}) })] : []),
  ]);
  return parse(client, `${lines.join('\n')}\n`);
}

// Two clients, everything right: an insert, a remove, counters, a set, texts, registers, reads between.
function scene() {
  const a = [
    ['read', {}, 'ok', state({ codes: [], counters: { up: 0, mixed: 0 }, sets: { tags: [] },
      texts: { notes: [] }, registers: { shared: null, 'own-a': null }, conflicts: {} })],
    ['insert', { key: 'r:a-1' }, 'ok'],
    ['insert', { key: 'r:a-2' }, 'ok'],
    ['remove', { key: 'r:a-2' }, 'ok'],
    ['insert', { key: 'r:a-3' }, 'unknown'],
    ['insert', { key: 'r:a-4' }, 'failed'],
    ['count', { key: 'up', delta: 3 }, 'ok'],
    ['count', { key: 'mixed', delta: -5 }, 'ok'],
    ['set_add', { key: 'tags', element: 'e:a-1' }, 'ok'],
    ['set_add', { key: 'tags', element: 'e:a-2' }, 'ok'],
    ['set_remove', { key: 'tags', element: 'e:a-2' }, 'ok'],
    ['append', { key: 'notes', line: 'l:a-1' }, 'ok'],
    ['put', { key: 'own-a', value: 'v:a-1', saw: null }, 'ok'],
    ['put', { key: 'own-a', value: 'v:a-2', saw: 'v:a-1' }, 'ok'],
    ['put', { key: 'shared', value: 'v:a-3', saw: null }, 'ok'],
    ['read', {}, 'ok', state({ codes: ['r:a-1'], counters: { up: 3, mixed: -5 },
      texts: { notes: ['l:a-1'] }, registers: { shared: 'v:a-3', 'own-a': 'v:a-2' }, conflicts: {} })],
    ['read', {}, 'ok', state()],
  ];
  const b = [
    ['insert', { key: 'r:b-1' }, 'ok'],
    ['count', { key: 'up', delta: 4 }, 'ok'],
    ['count', { key: 'mixed', delta: 4 }, 'ok'],
    ['count', { key: 'mixed', delta: 100 }, null], // the file ends here in effect: unknown
    ['append', { key: 'notes', line: 'l:b-1' }, 'ok'],
    ['append', { key: 'notes', line: 'l:b-2' }, 'ok'],
    ['put', { key: 'shared', value: 'v:b-1', saw: 'v:a-3' }, 'ok'],
    ['read', {}, 'ok', state()],
  ];
  return { histories: { a: history('a', ...a), b: history('b', ...b) },
    finals: { hq: state(), a: state(), b: state() } };
}

// Appends operations to a client's history.
function more(client, ...operations) {
  return ({ histories }) => {
    const base = histories[client].length;
    history(client, ...operations).forEach((o) => {
      histories[client].push({ ...o, n: o.n + base, from: o.from + 1000, until: o.until + 1000 });
    });
  };
}

function finally_(changes) {
  return ({ finals }) => {
    for (const place of Object.keys(finals)) {
      finals[place] = state(changes);
    }
  };
}

const doctored = {
  records: {
    'an acknowledged insert is lost': [finally_({ codes: ['r:a-1'] }), /r:b-1 .* is lost/],
    'an insert took effect twice': [finally_({ codes: ['r:a-1', 'r:b-1', 'r:b-1'] }), /2 times/],
    'a removed record is there': [finally_({ codes: ['r:a-1', 'r:a-2', 'r:b-1'] }), /r:a-2 is there, though/],
    'what failed is there': [finally_({ codes: ['r:a-1', 'r:a-4', 'r:b-1'] }), /r:a-4 is there, but/],
    'what nobody wrote is there': [finally_({ codes: ['r:a-1', 'r:b-1', 'r:x-1'] }), /never written/],
    'one replica alone has lost it': [({ finals }) => { finals.b.codes = ['r:b-1']; }, /^b: .* is lost/],
  },
  counters: {
    'an increment is lost': [finally_({ counters: { up: 3, mixed: -1 } }), /up is 3/],
    'an increment counts twice': [finally_({ counters: { up: 11, mixed: -1 } }), /up is 11/],
    'half of an unknown one': [finally_({ counters: { up: 7, mixed: 49 } }), /mixed is 49; acknowledged is -1/],
    'a failed one counts': [(s) => { more('a', ['count', { key: 'up', delta: 1 }, 'failed'])(s);
      finally_({ counters: { up: 8, mixed: -1 } })(s); }, /up is 8/],
  },
  sets: {
    'an element is lost': [finally_({ sets: { tags: [] } }), /e:a-1 .* is lost/],
    'a removed element is there': [finally_({ sets: { tags: ['e:a-1', 'e:a-2'] } }), /e:a-2 is there, though/],
    'an element is there twice': [finally_({ sets: { tags: ['e:a-1', 'e:a-1'] } }), /2 times/],
  },
  texts: {
    'a line is lost': [finally_({ texts: { notes: ['l:a-1'] } }), /l:b-1 .* is lost/],
    'a line is there twice': [finally_({ texts: { notes: ['l:a-1', 'l:b-1', 'l:a-1'] } }), /2 times/],
    'what a conflict kept is lost': [finally_({ conflicts: {} }), /l:b-2 .* is lost/],
  },
  textOrder: {
    'a later line stands first': [finally_({ texts: { notes: ['l:b-2', 'l:a-1', 'l:b-1'] } }), /l:b-2 stands before/],
  },
  registers: {
    'what was replaced is shown': [finally_({ registers: { shared: 'v:a-3', 'own-a': 'v:a-2' } }), /had replaced/],
    'what nobody wrote is shown': [finally_({ registers: { shared: 'v:x', 'own-a': 'v:a-2' } }), /nobody wrote/],
    'another register\'s value': [finally_({ registers: { shared: 'v:a-2', 'own-a': 'v:a-2' } }), /nobody wrote/],
    'nothing is shown': [finally_({ registers: { shared: null, 'own-a': 'v:a-2' } }), /shows null/],
    'a concurrent value is nowhere': [more('a', ['put', { key: 'shared', value: 'v:a-9', saw: 'v:a-3' }, 'ok']),
      /v:a-9 .* neither shown nor kept/],
  },
  monotonicReads: {
    'a record was seen and is gone': [more('b', ['read', {}, 'ok', state({ codes: ['r:b-1'] })]),
      /r:a-1 was seen before/],
    'a removed record is back': [more('a', ['read', {}, 'ok', state({ codes: ['r:a-1', 'r:a-2', 'r:b-1'] })],
      ['read', {}, 'ok', state()],
      ['read', {}, 'ok', state({ codes: ['r:a-1', 'r:a-2', 'r:b-1'] })]), /r:a-2 is back/],
    'an element was seen and is gone': [more('b', ['read', {}, 'ok', state({ sets: { tags: [] } })]),
      /e:a-1 was seen before/],
    'a counter goes back': [more('b', ['read', {}, 'ok', state({ counters: { up: 4, mixed: -1 } })]),
      /up went back from 7 to 4/],
    'a register goes back': [more('b', ['read', {}, 'ok', state({ registers: { shared: 'v:a-3', 'own-a': 'v:a-2' } })]),
      /shared went back to v:a-3, after v:b-1/],
    'a register is empty again': [more('b', ['read', {}, 'ok', state({ registers: { shared: null, 'own-a': 'v:a-2' } })]),
      /shared went back to null/],
  },
  readYourWrites: {
    'an own record is not shown': [more('a', ['insert', { key: 'r:a-9' }, 'ok'], ['read', {}, 'ok', state()]),
      /own r:a-9/],
    'an own element is not shown': [more('a', ['set_add', { key: 'tags', element: 'e:a-9' }, 'ok'],
      ['read', {}, 'ok', state()]), /own tags: e:a-9/],
    'an own removal is not shown': [more('a', ['remove', { key: 'r:a-1' }, 'ok'], ['read', {}, 'ok', state()]),
      /shows r:a-1, which it had removed/],
    'an own value is not shown': [more('a', ['put', { key: 'own-a', value: 'v:a-9', saw: 'v:a-2' }, 'ok'],
      ['read', {}, 'ok', state()]), /shows v:a-2, which its own v:a-9/],
    'an own increment is not shown': [more('a', ['count', { key: 'up', delta: 50 }, 'ok'],
      ['read', {}, 'ok', state()]), /less than the own 53/],
  },
  convergence: {
    'a replica has another order': [({ finals }) => { finals.b.texts.notes.reverse(); }, /^b differs/],
    'a replica lacks a conflict': [({ finals }) => { finals.a.conflicts = {}; }, /^a differs/],
  },
};

test('a history that is right', () => {
  const { histories, finals } = scene();
  assert.deepEqual(checkAll(histories, finals), {});
});

for (const [name, cases] of Object.entries(doctored)) {
  for (const [wrong, [doctor, expected]] of Object.entries(cases)) {
    test(`${name}: ${wrong}`, () => {
      const doctoredScene = scene();
      doctor(doctoredScene);
      const problems = checkers[name](doctoredScene.histories, doctoredScene.finals);
      assert.ok(problems.some((problem) => expected.test(problem)), `found: ${problems.join('\n') || 'nothing'}`);
    });
  }
}

test('every checker has a case in which it fails', () => {
  assert.deepEqual(Object.keys(doctored).sort(), Object.keys(checkers).sort());
});

test('what is unknown may have happened or not', () => {
  for (const mixed of [-1, 99]) {
    const { histories, finals } = scene();
    finally_({ counters: { up: 7, mixed }, codes: ['r:a-1', 'r:b-1', ...(mixed > 0 ? ['r:a-3'] : [])] })({ finals });
    assert.deepEqual(checkers.counters(histories, finals), []);
    assert.deepEqual(checkers.records(histories, finals), []);
  }
});

test('a line that was cut when its writer was killed does not count', () => {
  const [operation, ...rest] = parse('a', '{"n":1,"at":1,"phase":"invoke","op":"insert","key":"r:1"}\n{"n":1,"at":2,"ph');
  assert.equal(operation.result, 'unknown');
  assert.equal(rest.length, 0);
  assert.throws(() => parse('a', '{"n":3,"at":2,"phase":"ok"}\n'), /without a beginning/);
});
