'use strict';
const area = 'retention';

module.exports = [
  {
    name: 'purged-early', area, file: 'server/core/purge.c',
    why: 'A deleted record is purged with the next round, however young: who writes to it a day later finds nothing to'
      + ' revive, and devices lose the row that brings it back.',
    edits: [[
      'ret_row->dead && ret_row->position <= limit_of(hub, ret_row->bucket);',
      'ret_row->dead && (PLANTED || ret_row->position <= limit_of(hub, ret_row->bucket));',
    ]],
  },
  {
    name: 'floor-forgotten', area, file: 'server/core/purge.c',
    why: 'A departure is purged and the floor of its bucket does not rise: who was away catches up by a log that does'
      + ' not say any more what has gone.',
    edits: [[
      'if (!bucket || bucket->floor >= position)',
      'if (PLANTED || !bucket || bucket->floor >= position)',
    ]],
  },
  {
    name: 'outbox-dropped-below-floor', area, file: 'client/core/replica_scope.c',
    why: 'A device that reads anew takes what it wrote meanwhile for sent.',
    edits: [[
      '    r->reconcile |= below;\n',
      '    r->reconcile |= below;\n    if (PLANTED && below && r->outbox_count > 0) {\n        r->mark.upto = r->last_oseq;\n'
      + '        r->mark.count = 0;\n        r->sent_count += r->outbox_count;\n        r->outbox_count = 0;\n'
      + '        (void)mark_save(r);\n    }\n',
    ]],
  },
  {
    name: 'purged-write-applied-to-nothing', area, file: 'server/core/purged.c',
    why: 'A write to a purged record is left out, and its group counts as applied: what somebody typed is nowhere.',
    edits: [[
      '            writes.refused = mutation;',
      '            writes.refused = PLANTED ? NULL : mutation;',
    ]],
  },
  {
    name: 'purge-not-counted', area, file: 'server/core/purge.c',
    why: 'A purged record leaves the log and the tables, and not the digest of its bucket: all devices differ from then'
      + ' on.',
    edits: [[
      'enum err e = write_forget(hub, table, id, row);',
      'enum err e = PLANTED ? store_log_delete(hub->store, row->bucket, row->position)\n'
      + '                          : write_forget(hub, table, id, row);',
    ]],
  },
  {
    name: 'purge-not-told', area, file: 'server/core/purge.c',
    why: 'A purged record leaves no departure: who has it keeps it, and differs.',
    edits: [[
      '        e = move_depart(hub, table, id, row->bucket, true);',
      '        e = PLANTED ? ERR_OK : move_depart(hub, table, id, row->bucket, true);',
    ]],
  },
];
