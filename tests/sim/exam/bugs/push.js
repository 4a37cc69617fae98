'use strict';
const area = 'push';

module.exports = [
  {
    name: 'mark-by-acknowledgement', area, file: 'client/core/replica_link.c',
    why: 'An acknowledgement is taken for a decision: what waits at headquarters counts as decided, and'
      + ' its result never reaches the screen.',
    edits: [[
      '        r->acknowledged = ack->upto;\n    return ERR_OK;',
      `        r->acknowledged = ack->upto;
    if (PLANTED && ack->origin == r->origin && ack->upto > r->mark.upto && r->mark.count == 0)
        r->mark.upto = ack->upto;
    return ERR_OK;`,
    ]],
  },
  {
    name: 'floor-too-high', area, file: 'client/core/handshake.c',
    why: 'The device says that all it wrote is decided: results of the rest are not told, and a refused'
      + ' change shows as applied.',
    edits: [['.floor = status.decided_upto,', '.floor = PLANTED ? status.last_oseq : status.decided_upto,']],
  },
  {
    name: 'sent-log-dropped', area, file: 'client/core/replica_checkpoint.c',
    why: 'A decided group is forgotten before a backup holds it: when headquarters is restored from the'
      + ' backup of last night, the day is lost.',
    edits: [[
      '    if (in_effect) {\n        r->sent_count++;\n        return ERR_OK;\n    }',
      `    if (in_effect && PLANTED) {
        uint8_t key[REPLICA_KEY];
        own_key(r->origin, oseq, key);
        return store_side_delete(r->store, SIDE_OUTBOX, bytes_of(key, sizeof key));
    }
    if (in_effect) {
        r->sent_count++;
        return ERR_OK;
    }`,
    ]],
  },
  {
    name: 'outbox-skips-after-cut', area, file: 'client/core/replica_link.c',
    why: 'After a reconnect the push begins behind the last group that was ever packed, not behind the'
      + ' last one that is decided: a group on a connection that broke is never sent again.',
    edits: [
      [
        '    if (from <= r->mark.upto)\n        from = r->mark.upto + 1;',
        '    if (PLANTED && from == 1 && max_groups > 1)\n        from = r->packed_upto + 1;\n    if (from <= r->mark.upto)\n        from = r->mark.upto + 1;',
      ],
      [
        '    *ret_groups = walk.groups;\n    *ret_count = walk.count;\n    *ret_first = walk.first;',
        '    if (walk.count && max_groups > 1)\n        r->packed_upto = walk.first + walk.count - 1;\n    *ret_groups = walk.groups;\n    *ret_count = walk.count;\n    *ret_first = walk.first;',
      ],
    ],
    more: [{
      file: 'client/core/replica_internal.h',
      edits: [['    uint64_t stage_next;\n', '    uint64_t stage_next;\n    uint64_t packed_upto;\n']],
    }],
  },
  {
    name: 'signature-of-another-run', area, file: 'client/core/push.c',
    why: 'The signature names where the last run ended instead of where this one begins: an honest device'
      + ' is thrown out as a forger.',
    edits: [[
      '    enum err e = sign_run(u, origin, first, groups, count, signature);',
      '    enum err e = sign_run(u, origin, PLANTED ? u->push.next : first, groups, count, signature);',
    ]],
  },
  {
    name: 'not-sent-after-restore', area, file: 'client/core/replica_link.c',
    why: 'Headquarters was restored and has lost a day: the devices notice, fetch everything anew, and'
      + ' do not send again what it lost.',
    edits: [[
      '        if (mark_has(&r->mark, oseq) || !mark_has(&before, oseq))\n            continue;',
      '        if (mark_has(&r->mark, oseq) || !mark_has(&before, oseq) || PLANTED)\n            continue;',
    ]],
  },
  {
    name: 'idle-for-ever', area, file: 'client/core/uplink.c',
    why: 'A live device that has sent everything does not look again when somebody writes: the change'
      + ' leaves with the next connection only.',
    edits: [[
      '    u->push.idle = false;\n    u->push.discards_known = false;',
      '    if (!PLANTED)\n        u->push.idle = false;\n    u->push.discards_known = false;',
    ]],
  },
];
