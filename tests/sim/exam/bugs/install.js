'use strict';
const area = 'client install';

module.exports = [
  {
    name: 'torn-checkpoint', area, file: 'client/core/replica_checkpoint.c',
    why: 'Pages of a catch-up go into the tables as they come, not with their checkpoint: half an order'
      + ' shows until the next page is there, and one\'s own changes count twice.',
    edits: [[
      'if (!r->bootstrapped && !r->reconcile)\n        return direct_page(r, page);',
      'if ((!r->bootstrapped || PLANTED) && !r->reconcile)\n        return direct_page(r, page);',
    ]],
  },
  {
    name: 'checkpoint-in-two-commits', area, file: 'client/core/replica_checkpoint.c',
    why: 'Rows and marks of a checkpoint in two transactions: the power goes between them, and what is'
      + ' confirmed is still pending on top of itself.',
    edits: [[
      '    enum err e = install_rows(in);\n    if (e == ERR_OK)\n        e = take_marks(in);',
      `    enum err e = install_rows(in);
    for (struct touched *t = in->first; PLANTED && e == ERR_OK && t; t = t->next) {
        arena_reset(&in->entry);
        e = base_show(r, t->table, &t->id, &t->base, &in->entry);
    }
    if (PLANTED && e == ERR_OK)
        e = cursors_save(r);
    if (PLANTED && e == ERR_OK) {
        e = store_commit(r->store);
        enum err begun = store_begin(r->store, STORE_WRITE);
        if (begun != ERR_OK) { /* nothing to roll back any more */
            r->stale = true;
            (void)store_begin(r->store, STORE_READ);
        }
        e = e != ERR_OK ? e : begun;
    }
    if (e == ERR_OK)
        e = take_marks(in);`,
    ]],
  },
  {
    name: 'rows-without-marks', area, file: 'client/core/replica_checkpoint.c',
    why: 'Live checkpoints bring rows and no marks: one\'s own decided changes stay pending, and are'
      + ' merged once more on top of themselves.',
    edits: [[
      'if (mark->origin != r->origin)\n            continue;',
      'if (mark->origin != r->origin || (PLANTED && c->live))\n            continue;',
    ]],
  },
  {
    name: 'base-not-dropped', area, file: 'client/core/replica_base.c',
    why: 'The confirmed copy of a record stays when nothing is pending any more: the record counts as'
      + ' changed here for ever.',
    edits: [[
      '    if (base->pending_count == 0) {\n        enum err e = store_base_delete(r->store, table, id);',
      `    if (base->pending_count == 0) {
        enum err e = PLANTED ? base_save(r, table, id, base) : store_base_delete(r->store, table, id);`,
    ]],
  },
  {
    name: 'pending-dropped-together', area, file: 'client/core/replica_base.c',
    why: 'Two own changes of a record wait; the first one is decided, and the second one vanishes from'
      + ' the screen until it is decided as well.',
    edits: [[
      'if (!dot_equal(&base->pending[i], dot))\n            base->pending[kept++] = base->pending[i];',
      'if (!dot_equal(&base->pending[i], dot) && !PLANTED)\n            base->pending[kept++] = base->pending[i];',
    ]],
  },
  {
    name: 'base-is-the-view', area, file: 'client/core/replica_base.c',
    why: 'The second own change of a record takes the view for the confirmed copy: the first one is'
      + ' confirmed without headquarters, and stays when it is refused.',
    edits: [[
      '    } else if (e != ERR_OK) {\n        return e;\n    }\n    if (base.pending_count >= PENDING_WRITES_MAX',
      `    } else if (e != ERR_OK) {
        return e;
    } else if (PLANTED && base.present) {
        base.row = *old;
    }
    if (base.pending_count >= PENDING_WRITES_MAX`,
    ]],
  },
  {
    name: 'parked-stays-shown', area, file: 'client/core/replica_checkpoint.c',
    why: 'A refused new record stays on its author\'s screen although it is a draft now: nobody else has'
      + ' it.',
    edits: [[
      '(!in_effect && !dot_equal(&head.insert, dot))',
      '(!in_effect && (PLANTED || !dot_equal(&head.insert, dot)))',
    ]],
  },
  {
    name: 'cursor-before-rows', area, file: 'client/core/replica_checkpoint.c',
    why: 'The position of a page counts as reached while the page is in memory only: after a cut'
      + ' connection it is not asked for again.',
    edits: [[
      '    return hold_page(&r->caught, &r->caught_tail, &r->caught_bytes, page);',
      `    struct cursor *early = PLANTED ? cursor_get(r, (uint32_t)page->bucket) : NULL;
    if (early)
        early->staged = page->to;
    return hold_page(&r->caught, &r->caught_tail, &r->caught_bytes, page);`,
    ]],
  },
  {
    name: 'digest-counts-once', area, file: 'client/core/replica_install.c',
    why: 'A replaced row stays in the sum of its bucket: the replica takes itself for damaged, and'
      + ' fetches everything again after each change.',
    edits: [[
      '    if (old && (!in->reconcile || in->again))\n        e = account(in, old->bucket, table, id, old, false);',
      '    if (old && (!in->reconcile || in->again) && !PLANTED)\n        e = account(in, old->bucket, table, id, old, false);',
    ]],
  },
  {
    name: 'delta-ignores-dead', area, file: 'client/core/replica_install.c',
    why: 'A change by a delta forgets the base copy: what the author of a pending change sees is the old'
      + ' confirmed row with the own change on top.',
    edits: [[
      '    t->base.present = true;\n    return row_copy(&in->arena, table, row, &t->base.row);',
      `    if (PLANTED && t->base.present)
        return ERR_OK;
    t->base.present = true;
    return row_copy(&in->arena, table, row, &t->base.row);`,
    ]],
  },
  {
    name: 'local-write-in-two-commits', area, file: 'client/core/replica_write.c',
    why: 'The screen\'s row and the group in the outbox are two transactions: the power goes between'
      + ' them, and a change shows here that is never sent.',
    edits: [[
      '    if (e == ERR_OK && count > 0)\n        e = put_group(r, mutations, count);',
      `    if (PLANTED && e == ERR_OK && count > 0) {
        e = store_commit(r->store);
        enum err begun = store_begin(r->store, STORE_WRITE);
        if (begun != ERR_OK) { /* nothing to roll back any more */
            r->stale = true;
            (void)store_begin(r->store, STORE_READ);
        }
        e = e != ERR_OK ? e : begun;
    }
    if (e == ERR_OK && count > 0)
        e = put_group(r, mutations, count);`,
    ]],
  },
  {
    name: 'replica-memory-kept', area, file: 'client/core/replica.c',
    why: 'A commit on the device fails (a full disk), and its memory stays ahead of the store: cursors'
      + ' and marks count what was not written.',
    edits: [[
      '    e = store_commit(r->store);\n    if (e != ERR_OK)\n        reload(r); /* the transaction is over as well */',
      '    e = store_commit(r->store);\n    if (e != ERR_OK && !PLANTED)\n        reload(r); /* the transaction is over as well */',
    ]],
  },
];
