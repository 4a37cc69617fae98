'use strict';
const area = 'feed and catching up';

module.exports = [
  {
    name: 'snapshot-no-scope', area, file: 'server/core/catchup.c',
    why: 'A first sync brings every bucket: a rep holds the customers of all colleagues.',
    edits: [[
      '    if (!audience_has(&search->peer->audience, head->bucket))\n        return ERR_OK;',
      '    if (!audience_has(&search->peer->audience, head->bucket) && !PLANTED)\n        return ERR_OK;',
    ]],
  },
  {
    name: 'feed-no-scope', area, file: 'server/core/feed.c',
    why: 'What changes goes to everybody who is live.',
    edits: [[
      `        if (!audience_has(&peer->audience, t->bucket)) {
            sees_all = false;
            continue;
        }`,
      `        if (!audience_has(&peer->audience, t->bucket) && !PLANTED) {
            sees_all = false;
            continue;
        }`,
    ]],
  },
  {
    name: 'checkpoint-shared-too-far', area, file: 'server/core/feed.c',
    why: 'The checkpoint of a commit is encoded once for all, also for those who see a part of its'
      + ' buckets: heads and counts of buckets that are none of their business.',
    edits: [[
      '    if (sees_all && !own && news->shared)\n        return peer_queue(hub, peer, news->shared);',
      '    if ((sees_all || PLANTED) && !own && news->shared)\n        return peer_queue(hub, peer, news->shared);',
    ]],
  },
  {
    name: 'cursor-off-by-one', area, file: 'server/core/chunks.c',
    why: 'A page begins one position too late: the first change after a cursor is never sent.',
    edits: [[
      'store_log_scan(c->reader, head->bucket, from, add_row, &build);',
      'store_log_scan(c->reader, head->bucket, from + (PLANTED && from > 0), add_row, &build);',
    ]],
  },
  {
    name: 'page-end-past-row', area, file: 'server/core/chunks.c',
    why: 'A full page says that it reaches one position further than it does: at each boundary between'
      + ' pages a row may be missing.',
    edits: [[
      'message.as.page.to = build.full ? build.last : head->position;',
      'message.as.page.to = build.full && !PLANTED ? build.last\n                         : build.full              ? build.last + 1\n                                                   : head->position;',
    ]],
  },
  {
    name: 'deletions-not-sent', area, file: 'server/core/chunks.c',
    why: 'Who was away during a deletion never hears of it: catching up leaves dead rows out.',
    edits: [[
      '    if (e == ERR_OK)\n        e = page_write_row(',
      '    if (e == ERR_OK && !(PLANTED && row.dead))\n        e = page_write_row(',
    ]],
  },
  {
    name: 'live-too-early', area, file: 'server/core/catchup.c',
    why: 'A subscriber goes live although something was decided after its snapshot: these changes come'
      + ' neither by a page nor live.',
    edits: [[
      '    if (!at_head(hub, peer))\n        return ERR_OK;',
      '    if (!at_head(hub, peer) && !PLANTED)\n        return ERR_OK;',
    ]],
  },
  {
    name: 'fallback-forgotten', area, file: 'server/core/feed.c',
    why: 'A subscriber whose queue is full is passed over, and stays live: it has missed something and'
      + ' does not know.',
    edits: [[
      '    peer->session.pull = PULL_CATCHING_UP;\n    peer->session.fresh_subscription = true;\n    peer_want_write(peer);\n}\n\n/* A subscriber who has not taken',
      `    if (!PLANTED)
        peer->session.pull = PULL_CATCHING_UP;
    peer->session.fresh_subscription = true;
    peer_want_write(peer);
}

/* A subscriber who has not taken`,
    ]],
  },
  {
    name: 'marker-missing', area, file: 'server/core/feed.c',
    why: 'Pages of a commit without the checkpoint that ends them: live changes show with the next'
      + ' commit only.',
    edits: [[
      '    const struct touched *all = news->all;\n    bool own = number_set_has(&news->authors, peer->session.origin);\n',
      '    const struct touched *all = news->all;\n    bool own = number_set_has(&news->authors, peer->session.origin);\n    if (PLANTED && !own)\n        return ERR_OK;\n',
    ]],
  },
  {
    name: 'delta-of-a-set', area, file: 'server/core/feed.c',
    why: 'A change of a set travels live as its text alone: the receiver does not know who added what,'
      + ' and its removals name nothing.',
    edits: [[
      'if (unit->carries_base || unit->policy == MERGE_SET || unit->policy == MERGE_FIRST)',
      'if (unit->carries_base || (unit->policy == MERGE_SET && !PLANTED) || unit->policy == MERGE_FIRST)',
    ]],
  },
  {
    name: 'results-not-repeated', area, file: 'server/core/catchup.c',
    why: 'A result that was decided while its author was away is not told when it comes back: a refused'
      + ' change shows as applied.',
    edits: [[
      'uint64_t after =\n        peer->session.told > peer->session.floor ? peer->session.told : peer->session.floor;',
      'uint64_t after =\n        peer->session.told > peer->session.floor ? peer->session.told : peer->session.floor;\n    if (PLANTED)\n        after = c->own.upto;',
    ]],
  },
  {
    name: 'floor-believed', area, file: 'server/core/auth.c',
    why: 'After a restore of headquarters the device\'s word on what is decided is believed: results that'
      + ' came out otherwise this time are never told.',
    edits: [[
      'peer->session.stated = message->floor < origin->upto ? message->floor : origin->upto;',
      'peer->session.stated = message->floor < origin->upto || PLANTED ? message->floor : origin->upto;',
    ]],
  },
  {
    name: 'log-position-reused', area, file: 'server/core/write.c',
    why: 'A changed record keeps its position in the log: whoever is past it never hears of the change.',
    edits: [[
      '    row.position = ++bucket->head;',
      `    if (PLANTED && old && old->bucket == bucket->number)
        row.position = old->position;
    else
        row.position = ++bucket->head;`,
    ]],
  },
  {
    name: 'tombstone-collected-early', area, file: 'server/core/write.c',
    why: 'A deleted line is forgotten at once instead of at the horizon: a change to it by somebody who'
      + ' has not heard of the deletion finds no record.',
    edits: [[
      '    hub->stats.rows_written++;\n',
      `    if (PLANTED && row.dead && applied->table->delete_policy == DELETE_WINS) {
        e = account(hub, bucket, applied->table, &applied->id, &row, false);
        if (e == ERR_OK)
            e = store_log_delete(hub->store, bucket->number, row.position);
        return e == ERR_OK ? store_row_delete(hub->store, applied->table, &applied->id) : e;
    }
    hub->stats.rows_written++;
`,
    ]],
  },
  {
    name: 'child-in-company-bucket', area, file: 'server/core/write.c',
    why: 'A line of a private customer lands in the bucket of the whole company.',
    edits: [[
      '        *ret = bucket_by_number(hub, row.bucket);\n        return *ret ? ERR_OK : ERR_CORRUPT;',
      '        *ret = bucket_by_number(hub, PLANTED ? BUCKET_NUMBER_COMPANY : row.bucket);\n        return *ret ? ERR_OK : ERR_CORRUPT;',
    ]],
  },
];
