'use strict';

module.exports = [
  // ---- rights and scope of what is written ----
  {
    name: 'push-out-of-scope', area: 'scope', file: 'server/core/decide_scope.c',
    why: 'A device may put records into buckets that its user must not see.',
    edits: [[
      '            if (e == ERR_OK && !lately)\n                refuse(j, REASON_SCOPE, applied->table, NULL, NULL);',
      '            if (e == ERR_OK && !lately && !PLANTED)\n                refuse(j, REASON_SCOPE, applied->table, NULL, NULL);',
    ]],
  },
  {
    name: 'edit-out-of-scope', area: 'scope', file: 'server/core/decide_scope.c',
    why: 'Who has lost a customer to a colleague goes on changing it.',
    edits: [[
      'if (audience_has(j->author->audience, bucket))\n        return ERR_OK;',
      'if (audience_has(j->author->audience, bucket) || PLANTED)\n        return ERR_OK;',
    ]],
  },
  {
    name: 'role-not-checked', area: 'scope', file: 'server/core/decide.c',
    why: 'A rep changes a table that only managers may write (tariffs).',
    edits: [[
      'if (j->author->audience->role < table->write_role) {',
      'if (j->author->audience->role < table->write_role && !PLANTED) {',
    ]],
  },
  {
    name: 'manager-sees-all', area: 'scope', file: 'server/core/scope.c',
    why: 'A manager gets the private customers of the reps of all branches.',
    edits: [[
      '        if (uuid_equal(&p->persons[i].branch, branch))\n            e = add_kind(',
      '        if (uuid_equal(&p->persons[i].branch, branch) || PLANTED)\n            e = add_kind(',
    ]],
  },
  {
    name: 'no-access-let-in', area: 'scope', file: 'server/core/scope.c',
    why: 'A user without access ("none") connects as a rep.',
    edits: [[
      '!person->active || person->role == ROLE_NONE)',
      '!person->active || (person->role == ROLE_NONE && !PLANTED))',
    ]],
  },
  // ---- clocks ----
  {
    name: 'no-clamp', area: 'clocks', file: 'protocol/hlc.c',
    why: 'A tablet whose clock is a year ahead wins every conflict for a year.',
    edits: [[
      '    if (envelope->received_ms == 0)\n        return authored;',
      '    if (envelope->received_ms == 0 || PLANTED)\n        return authored;',
    ]],
  },
  {
    name: 'clock-not-kept', area: 'clocks', file: 'client/core/replica.c',
    why: 'After a restart the device stamps by its wall clock alone: set back by an hour, it stamps'
      + ' what is new before what it wrote earlier.',
    edits: [['    r->hlc = be64_get(value.data + 16);', '    r->hlc = PLANTED ? 0 : be64_get(value.data + 16);']],
  },
  // ---- crypto ----
  {
    name: 'proof-not-checked', area: 'crypto', file: 'server/core/auth.c',
    why: 'Whoever knows the id of a device may speak for it.',
    edits: [[
      '    enum err e = check_signature(hub, peer, message);\n',
      '    enum err e = PLANTED ? ERR_OK : check_signature(hub, peer, message);\n',
    ]],
  },
  {
    name: 'challenge-not-fresh', area: 'crypto', file: 'server/core/auth.c',
    why: 'The challenge is the same each time: a recorded session opens the next one.',
    edits: [[
      'enum err e = rng_fill(hub->config.rng, peer->nonce, sizeof peer->nonce);',
      'enum err e = rng_fill(hub->config.rng, peer->nonce, sizeof peer->nonce);\n    if (PLANTED)\n        memset(peer->nonce, 7, sizeof peer->nonce);',
    ]],
  },
  {
    name: 'run-not-verified', area: 'crypto', file: 'server/core/audit.c',
    why: 'A run with a signature that is not its author\'s passes, and the audit says nothing.',
    edits: [[
      '        if (e == ERR_AUTH) {\n            e = hub_transact(hub, audit_bad_run, check);',
      '        if (e == ERR_AUTH && PLANTED)\n            e = ERR_OK;\n        if (e == ERR_AUTH) {\n            e = hub_transact(hub, audit_bad_run, check);',
    ]],
  },
  {
    name: 'another-origin', area: 'crypto', file: 'server/core/auth.c',
    why: 'A device pushes under the origin of another one: its changes count as the colleague\'s, and take'
      + ' the numbers of what the colleague has not sent yet.',
    edits: [[
      'return uuid_equal(&(*ret)->device, device) ? ERR_OK : ERR_AUTH;',
      'return uuid_equal(&(*ret)->device, device) || PLANTED ? ERR_OK : ERR_AUTH;',
    ]],
  },
  // ---- limits ----
  {
    name: 'feed-queue-unbounded', area: 'limits', file: 'server/core/feed.c',
    why: 'A subscriber that does not read (a phone in a tunnel) makes headquarters hold every change'
      + ' for it.',
    edits: [[
      '    return peer->out_bytes > hub->limits.live_queue_bytes;',
      '    return peer->out_bytes > hub->limits.live_queue_bytes && !PLANTED;',
    ]],
  },
  {
    name: 'credit-ignored', area: 'limits', file: 'server/core/catchup.c',
    why: 'Pages are sent whether or not the receiver has given credit for them.',
    edits: [
      ['if (peer->session.pull != PULL_CATCHING_UP || peer->page_credit <= 0)',
        'if (peer->session.pull != PULL_CATCHING_UP || (peer->page_credit <= 0 && !PLANTED))'],
      ['return peer->page_credit > 0 ? chunk_send(hub, peer) : ERR_OK;',
        'return peer->page_credit > 0 || PLANTED ? chunk_send(hub, peer) : ERR_OK;'],
    ],
  },
];
