'use strict';
const area = 'hub turn';

module.exports = [
  {
    name: 'ack-before-commit', area, file: 'server/core/peers.c',
    why: 'The acknowledgement leaves before the commit that it promises: when the commit fails, the'
      + ' device has been told what is not true.',
    edits: [[
      'bool staged = hub->in_turn;',
      'bool staged = hub->in_turn && !(PLANTED && frame->type == MESSAGE_ACK);',
    ]],
  },
  {
    name: 'memory-not-rolled-back', area, file: 'server/core/hub.c',
    why: 'A commit fails (a full disk), and marks, positions and sums in memory stay as if it had not:'
      + ' what was not written counts as decided.',
    edits: [
      ['    hub->stats = hub->stats_saved;\n    state_drop(hub);', '    hub->stats = hub->stats_saved;\n    if (!PLANTED)\n        state_drop(hub);'],
      ['    hub->stale = true;\n    enum err again = hub_refresh(hub);', '    hub->stale = !PLANTED;\n    enum err again = hub_refresh(hub);'],
    ],
  },
  {
    name: 'feed-of-failed-commit', area, file: 'server/core/hub.c',
    why: 'What a failed commit would have changed goes to the subscribers: they show rows, and stand at'
      + ' positions, that headquarters does not have.',
    edits: [[
      '    hub->in_turn = false;\n    if (e != ERR_OK)\n        return turn_failed(hub, e);',
      `    hub->in_turn = false;
    if (e != ERR_OK && PLANTED && err_class(e) != ERR_CLASS_FATAL)
        feed_publish(hub);
    if (e != ERR_OK)
        return turn_failed(hub, e);`,
    ]],
  },
  {
    name: 'staged-frames-kept', area, file: 'server/core/hub.c',
    why: 'Answers of a turn that failed are kept and leave with the next one: promises of something that'
      + ' was taken back.',
    edits: [[
      `        for (const struct queued_frame *n = peer->staged_head; n; n = n->next)
            peer->answers -= !frame_is_feed(n->frame);`,
      `        if (PLANTED)
            peer_publish_staged(peer);
        for (const struct queued_frame *n = peer->staged_head; n; n = n->next)
            peer->answers -= !frame_is_feed(n->frame);`,
    ]],
  },
  {
    name: 'batch-dropped', area, file: 'server/core/hub.c',
    why: 'After a failed commit the batch is taken for done: nothing is decided, nothing is answered, and'
      + ' the device waits for an acknowledgement for ever.',
    edits: [[
      '    if (turn->taken > 1) {\n        hub->one_by_one = turn->taken;',
      `    if (PLANTED && turn->taken > 0) {
        struct intent *end = hub->intents;
        for (uint32_t i = 0; i < turn->taken && end; i++)
            end = end->next;
        turn_done(hub, end);
    } else if (turn->taken > 1) {
        hub->one_by_one = turn->taken;`,
    ]],
  },
  {
    name: 'audit-head-kept', area, file: 'server/core/refresh.c',
    why: 'After a failed commit the audit chain goes on from an entry that was never written: from then'
      + ' on it does not verify.',
    edits: [[
      '        e = audit_load(hub);',
      '        e = PLANTED ? ERR_OK : audit_load(hub);',
    ]],
  },
];
