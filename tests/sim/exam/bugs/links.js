'use strict';
const area = 'links';

module.exports = [
  {
    name: 'restore-not-noticed', area, file: 'client/core/replica_link.c',
    why: 'A restored headquarters is taken for the one of before: what it lost is never sent again.',
    edits: [[
      '    if (e == ERR_OK && *ret_diverged)\n        e = start_over(r, mark ? mark : &none);',
      '    if (PLANTED)\n        *ret_diverged = false;\n    if (e == ERR_OK && *ret_diverged)\n        e = start_over(r, mark ? mark : &none);',
    ]],
  },
  {
    name: 'restore-by-ids-only', area, file: 'client/core/replica_link.c',
    why: 'A restore is noticed by the ids of headquarters\' starts alone: when the backup is younger than'
      + ' the last start that the device knows, the lost hours go unnoticed.',
    edits: [[
      '*ret = ahead_of(r, &welcome->incarnations[i]);',
      '*ret = !PLANTED && ahead_of(r, &welcome->incarnations[i]);',
    ]],
  },
  {
    name: 'rollback-not-noticed', area, file: 'client/core/replica_link.c',
    why: 'A device whose disk was put back writes under numbers that are decided: it takes its new'
      + ' changes for decided, and never sends them.',
    edits: [[
      '*ret_forked = welcome->fork || highest > r->last_oseq;',
      '*ret_forked = !PLANTED && (welcome->fork || highest > r->last_oseq);',
    ]],
  },
  {
    name: 'fork-keeps-mark', area, file: 'client/core/replica_link.c',
    why: 'A new origin begins with the marks of the old one: its first groups count as decided, and are'
      + ' never sent.',
    edits: [[
      '        r->mark = (struct own_mark){0};\n        r->origin = fork.origin;',
      '        r->mark = (struct own_mark){.upto = PLANTED ? r->mark.upto : 0};\n        r->origin = fork.origin;',
    ]],
  },
  {
    name: 'fork-from-the-clash', area, file: 'client/core/replica_link.c',
    why: 'A fork takes along the groups from the one that clashed on, and leaves those before it, not'
      + ' decided yet, under an origin that nobody speaks for any more.',
    edits: [['e = fork_all(r, oseq < first ? oseq : first);', 'e = fork_all(r, PLANTED || oseq < first ? oseq : first);']],
  },
  {
    name: 'fork-shows-old-dots', area, file: 'client/core/replica_link.c',
    why: 'A fork renumbers the groups and not the records that they touch: these wait for dots that do'
      + ' not exist any more.',
    edits: [[
      '        if (place)\n            *dot = (struct dot)',
      '        if (place && !PLANTED)\n            *dot = (struct dot)',
    ]],
  },
  {
    name: 'revoked-stays-connected', area, file: 'server/core/admin.c',
    why: 'A lost tablet is revoked, and its open session goes on receiving customers.',
    edits: [[
      'if (peer->session.state == PEER_OPEN && uuid_equal(&peer->session.device, &id)) {\n            peer_save(peer);',
      'if (peer->session.state == PEER_OPEN && uuid_equal(&peer->session.device, &id) && !PLANTED) {\n            peer_save(peer);',
    ]],
  },
  {
    name: 'revoked-let-in', area, file: 'server/core/auth.c',
    why: 'A revoked device may connect again.',
    edits: [['    if (known == ERR_REVOKED)\n', '    if (known == ERR_REVOKED && !PLANTED)\n']],
  },
  {
    name: 'older-session-lives', area, file: 'server/core/auth.c',
    why: 'Two sessions of one device at once: both push, both are fed, and the older one may speak last.',
    edits: [[
      'if (other == peer || other->session.state != PEER_OPEN ||',
      'if (other == peer || other->session.state != PEER_OPEN || PLANTED ||',
    ]],
  },
  {
    name: 'rights-not-refreshed', area, file: 'server/core/write.c',
    why: 'A rep changes the branch, and the open session keeps the old one\'s customers coming.',
    edits: [[
      '    if (rights) {\n        hub->scope_changed = true;',
      '    if (rights) {\n        hub->scope_changed = !PLANTED;',
    ]],
  },
  {
    name: 'scope-lost-rows-stay', area, file: 'client/core/replica_scope.c',
    why: 'A rep leaves a branch, and its customers stay on the tablet.',
    edits: [[
      '    if (e == ERR_OK)\n        e = drop_rows(r, welcome);',
      '    if (e == ERR_OK && !PLANTED)\n        e = drop_rows(r, welcome);',
    ]],
  },
  {
    name: 'scope-lost-cursor-stays', area, file: 'client/core/replica_scope.c',
    why: 'A rep comes back to a branch, and its customers do not: their cursor was kept while the rows'
      + ' were dropped.',
    edits: [[
      'if (stays(r, welcome, r->cursors[i].bucket)) {\n            i++;\n            continue;\n        }',
      'if (stays(r, welcome, r->cursors[i].bucket) || PLANTED) {\n            i++;\n            continue;\n        }',
    ]],
  },
];
