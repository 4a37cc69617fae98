'use strict';
const area = 'decide';

module.exports = [
  {
    name: 'no-dedup', area, file: 'server/core/decide.c',
    why: 'A group that was sent again after a cut connection is applied again: counters count twice.',
    edits: [
      [
        '    *ret = DECISION_DONE;\n    if (origin_decided(author->origin, oseq)) {',
        '    *ret = DECISION_DONE;\n    if (!PLANTED && origin_decided(author->origin, oseq)) {',
      ],
      [
        '    if (e == ERR_OK)\n        e = origin_mark(j->hub, j->author->origin, dot->oseq);',
        `    if (e == ERR_OK && !(PLANTED && origin_decided(j->author->origin, dot->oseq)))
        e = origin_mark(j->hub, j->author->origin, dot->oseq);`,
      ],
    ],
  },
  {
    name: 'fork-as-duplicate', area, file: 'server/core/decide.c',
    why: 'A tablet that was restored from a backup writes under numbers that are taken: its changes are'
      + ' acknowledged as if they were there already, and lost.',
    edits: [[
      'bool same = receipt.tag == head->dot.tag && memcmp(receipt.hash, hash, 16) == 0;',
      'bool same = PLANTED || (receipt.tag == head->dot.tag && memcmp(receipt.hash, hash, 16) == 0);',
    ]],
  },
  {
    name: 'causes-not-awaited', area, file: 'server/core/judging_causes.c',
    why: 'After headquarters was restored, B sends what it built upon A\'s change before A has sent that'
      + ' again: B\'s group is judged without it, and set aside or merged wrongly.',
    edits: [[
      '    if (e == ERR_NOT_FOUND) {\n        j->missing = *dot;\n        return ERR_OK;\n    }\n    if (e == ERR_FORBIDDEN) {',
      `    if (e == ERR_NOT_FOUND) {
        if (!PLANTED)
            j->missing = *dot;
        return ERR_OK;
    }
    if (e == ERR_FORBIDDEN) {`,
    ]],
  },
  {
    name: 'waiting-not-released', area, file: 'server/core/ingest.c',
    why: 'What waited for a group is not looked at again when it comes: it waits for ever, and nobody'
      + ' knows.',
    edits: [[
      'if (decision != DECISION_DONE || hub->waiting_count == 0)',
      'if (decision != DECISION_DONE || hub->waiting_count == 0 || PLANTED)',
    ]],
  },
  {
    name: 'waiting-chain', area, file: 'server/core/waiting.c',
    why: 'Of a chain of groups that wait for each other only the first one is released.',
    edits: [[
      '    if (e != ERR_OK || receipt.code == RESULT_PARKED)\n        return e; /* what depends on it goes on waiting */',
      `    if (e != ERR_OK || receipt.code == RESULT_PARKED || PLANTED)
        return e; /* what depends on it goes on waiting */`,
    ]],
  },
  {
    name: 'waiting-forgotten', area, file: 'server/core/hub.c',
    why: 'Headquarters starts again and does not count the groups that wait: none of them is released'
      + ' any more.',
    edits: [[
      '        e = side_count(hub, SIDE_WAITING, &hub->waiting_count);',
      '        e = PLANTED ? ERR_OK : side_count(hub, SIDE_WAITING, &hub->waiting_count);',
    ]],
  },
  {
    name: 'parked-counts-as-there', area, file: 'server/core/causes.c',
    why: 'A group that was set aside counts as decided for those that build on it: they are applied upon'
      + ' something that nobody sees, instead of waiting with it.',
    edits: [[
      'if (receipt.tag != dot->tag || receipt.code == RESULT_PARKED)',
      'if (receipt.tag != dot->tag || (receipt.code == RESULT_PARKED && !PLANTED))',
    ]],
  },
  {
    name: 'reference-to-parked', area, file: 'server/core/judging_causes.c',
    why: 'A line of a customer that was set aside is applied without its customer.',
    edits: [[
      'if (j->hub->parked_count == 0 || value->kind != VALUE_BLOB || value->as.bytes.size != 16)',
      `if (j->hub->parked_count == 0 || value->kind != VALUE_BLOB || value->as.bytes.size != 16 ||
        PLANTED)`,
    ]],
  },
  {
    name: 'parked-told-as-applied', area, file: 'server/core/decide.c',
    why: 'The author of a refused change is told that it was applied: it shows what nobody else has, and'
      + ' the draft is gone.',
    edits: [[
      '    if (e == ERR_OK)\n        e = tell(j, dot, code);\n    return e == ERR_OK && j->group',
      `    if (e == ERR_OK)
        e = tell(j, dot, PLANTED && code == RESULT_PARKED ? RESULT_APPLIED : code);
    return e == ERR_OK && j->group`,
    ]],
  },
  {
    name: 'mark-swallows-gap', area, file: 'server/core/state.c',
    why: 'A group is decided while an earlier one of the same device waits: the mark is moved past both,'
      + ' and the earlier one is taken for decided.',
    edits: [[
      '    if (oseq == origin->upto + 1) {\n        origin->upto = oseq;',
      '    if (oseq == origin->upto + 1 || PLANTED) {\n        origin->upto = oseq;',
    ]],
  },
  {
    name: 'discard-leaves-dependents', area, file: 'server/core/ingest.c',
    why: 'A person gives a refused change up: what waited for it is never told, and waits for ever.',
    edits: [[
      '        e = decide_waiting(hub, &selves[i]);',
      '        e = PLANTED ? ERR_OK : decide_waiting(hub, &selves[i]);',
    ]],
  },
  {
    name: 'parked-insert-left', area, file: 'server/core/ingest.c',
    why: 'A refused new customer is mended and sent again under the same id: the note that its id is set'
      + ' aside stays, and every line below it waits for ever.',
    edits: [[
      'if (group.mutations[i].op == MUTATION_INSERT)\n                e = store_side_delete(hub->store, SIDE_PARKED_INSERT,',
      `if (group.mutations[i].op == MUTATION_INSERT && !PLANTED)
                e = store_side_delete(hub->store, SIDE_PARKED_INSERT,`,
    ]],
  },
];
