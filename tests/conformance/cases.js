// cases.js - what RFC 6455 (and RFC 9110, 9112 where it builds on them) asks of a server, a case each:
//
//   [section, name, run, expected, deviation?]
//
// run(wire) acts on a fresh connection: an open WebSocket in `framing`, a bare TLS one in `handshake`. It
// returns what the server did (wire.js: outcomes). expected: one of these, or a list of those allowed.
// deviation: { got, why }: libwebsockets 4.1.6 (Debian 12) does otherwise and we cannot change it; the test
// checks that it still does just that, and that it is harmless.
'use strict';
const crypto = require('node:crypto');
const { OP, frame, closePayload, request, hello } = require('./wire.js');

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const join = (list) => list.join(', ');

// Why a deviation is harmless. The library parses frames before anything of ours sees them, and says
// nothing of the mask bit or of the form of a length.
const NO_MASK = 'masks keep scripts from writing bytes of their choice to proxies (10.3); behind TLS, and ' +
  'without browsers, nothing rests on them';
const LONG_FORM = 'a length has the same meaning in each form';
const ABRUPT = 'it closes without a close frame, which is a SHOULD (7.1.7)';
const ONE_PONG = 'it answers the first of pings that wait, not the last; we send none (SPEC.md 7.1.5)';

// --- Handshakes -----------------------------------------------------------------------------------

function asks(options) {
  return async (wire) => {
    wire.send(request(options));
    const { status, headers } = await wire.answer();
    if (status !== 101) {
      return `${status}`;
    }
    return `101${headers['sec-websocket-extensions'] ? ' with an extension' : ''}`;
  };
}

// Refused: any 4xx, or the connection is closed without an answer.
const REFUSED = ['400', '403', '404', '405', '411', '414', '426', '431', 'closed'];

const handshake = [
  ['4.1', 'the request that is right', asks({}), '101'],
  ['4.2.1', 'an HTTP version below 1.1', asks({ version: 'HTTP/1.0' }), REFUSED],
  ['4.2.1', 'a method other than GET', asks({ method: 'POST' }), REFUSED],
  ['4.2.1', 'no Host', asks({ headers: { Host: null } }), REFUSED],
  ['4.2.1', 'no Upgrade', asks({ headers: { Upgrade: null } }), REFUSED],
  ['4.2.1', 'an upgrade to something else', asks({ headers: { Upgrade: 'telnet' } }), REFUSED],
  ['4.2.1', 'an upgrade to h2c', asks({ headers: { Upgrade: 'h2c', Connection: 'Upgrade, HTTP2-Settings',
    'HTTP2-Settings': 'AAMAAABkAAQAAP__' } }), REFUSED],
  ['4.2.1', 'Upgrade in other letters: case does not count', asks({ headers: { Upgrade: 'WebSocket' } }), '101'],
  ['4.2.1', 'no Connection', asks({ headers: { Connection: null } }), REFUSED],
  ['4.2.1', 'Connection: keep-alive alone', asks({ headers: { Connection: 'keep-alive' } }), REFUSED],
  ['4.2.1', 'Connection: keep-alive, Upgrade', asks({ headers: { Connection: 'keep-alive, Upgrade' } }), '101'],
  ['4.2.1', 'no key', asks({ headers: { 'Sec-WebSocket-Key': null } }), REFUSED],
  ['4.2.1', 'an empty key', asks({ headers: { 'Sec-WebSocket-Key': '' } }), REFUSED],
  ['4.2.1', 'a key of 8 bytes', asks({ key: crypto.randomBytes(8).toString('base64') }), REFUSED],
  ['4.2.1', 'a key that is no base64', asks({ key: '!!!!!!!!!!!!!!!!!!!!!!!!' }), REFUSED],
  ['4.2.1', 'a key of 4,000 bytes', asks({ key: 'A'.repeat(4000) }), REFUSED],
  ['4.2.1', 'two keys', asks({ headers: { 'Sec-WebSocket-Key': ['dGhlIHNhbXBsZSBub25jZQ==',
    'AAAAAAAAAAAAAAAAAAAAAA=='] } }), REFUSED],
  ['4.2.1', 'no version', asks({ headers: { 'Sec-WebSocket-Version': null } }), REFUSED],
  ['4.4', 'version 12', asks({ headers: { 'Sec-WebSocket-Version': '12' } }), REFUSED],
  ['4.4', 'version 8', asks({ headers: { 'Sec-WebSocket-Version': '8' } }), REFUSED],
  ['4.4', 'version 013', asks({ headers: { 'Sec-WebSocket-Version': '013' } }), REFUSED],
  ['4.4', 'version 99999999999', asks({ headers: { 'Sec-WebSocket-Version': '99999999999' } }), REFUSED],
  ['4.2.1', 'no subprotocol (SPEC.md 7.1.1)', asks({ headers: { 'Sec-WebSocket-Protocol': null } }), REFUSED],
  ['4.2.1', 'another subprotocol', asks({ headers: { 'Sec-WebSocket-Protocol': 'chat' } }), REFUSED],
  ['4.2.1', 'the subprotocol with more behind it', asks({ headers: { 'Sec-WebSocket-Protocol': 'satchel.v12' } }),
    REFUSED],
  ['4.2.1', 'the subprotocol in other letters: case counts',
    asks({ headers: { 'Sec-WebSocket-Protocol': 'Satchel.V1' } }), REFUSED],
  ['4.2.1', 'the subprotocol as the second of three',
    asks({ headers: { 'Sec-WebSocket-Protocol': 'chat, satchel.v1, other' } }), '101'],
  ['4.2.2', 'another path', asks({ path: '/other' }), REFUSED],
  ['4.2.2', 'the path with more behind it', asks({ path: '/satchel/x' }), REFUSED],
  ['4.2.2', 'a path of 8,000 bytes', asks({ path: `/${'a'.repeat(8000)}` }), REFUSED],
  ['4.2.2', 'an Origin, which no program of ours sends and which gives no right', // see the test of origins
    asks({ headers: { Origin: 'https://evil.example' } }), ['101', ...REFUSED]],
  ['9.1', 'an extension that is offered is not taken',
    asks({ headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' } }), '101'],
  ['9.1', 'an extension that does not exist',
    asks({ headers: { 'Sec-WebSocket-Extensions': 'x-none; a="\\"";;,' } }), ['101', ...REFUSED]],
  ['9112 2.2', 'a header line without a colon', async (wire) => {
    wire.send(request().replace('Host: localhost\r\n', 'Host: localhost\r\nnonsense\r\n'));
    return `${(await wire.answer()).status}`;
  }, ['101', ...REFUSED]],
  ['9112 5', '500 headers', asks({ headers: Object.fromEntries(Array.from({ length: 500 },
    (_, i) => [`X-${i}`, 'y'.repeat(50)])) }), ['101', ...REFUSED]],
  ['9112 3', 'bytes that are no HTTP', async (wire) => {
    wire.send(crypto.randomBytes(300), '\r\n\r\n');
    return `${(await wire.answer(12000)).status}`;
  }, REFUSED],
  ['4.2.1', 'a byte at a time', async (wire) => {
    for (const byte of Buffer.from(request())) {
      wire.send([byte]);
      await sleep(2);
    }
    return `${(await wire.answer()).status}`;
  }, '101'],
  ['4.2.1', 'half a request, and silence', async (wire) => {
    wire.send(request().slice(0, 60));
    return `${(await wire.answer(14000)).status}`;
  }, REFUSED],
  ['4.1', 'frames in the same record as the request', async (wire) => {
    wire.send(request(), frame(OP.binary, hello()), frame(OP.ping, 'early'));
    const { status } = await wire.answer();
    return join([`${status}`, ...(await wire.outcomes(800))]);
  }, ['101, challenge, pong early', '101, pong early, challenge']],
];

// --- Frames ---------------------------------------------------------------------------------------

// Sends; what comes back until the end, or until it is quiet.
function sends(...frames) {
  return async (wire) => {
    wire.send(...frames);
    return join(await wire.outcomes());
  };
}

// Sends what is right first, to show that the connection works.
function afterHello(...frames) {
  return async (wire) => {
    wire.send(frame(OP.binary, hello()));
    const first = await wire.outcome();
    wire.send(...frames);
    return join([first, ...(await wire.outcomes())]);
  };
}

const h = hello();
const part = (from, to) => h.subarray(from, to);
const last = { fin: true };
const more = { fin: false };
const WRONG = ['close 1002'];

const messages = [
  ['5.2', 'a binary message', sends(frame(OP.binary, hello())), 'challenge'],
  ['5.1', 'a frame without a mask', sends(frame(OP.binary, hello(), { mask: false })), WRONG,
    { got: 'challenge', why: NO_MASK }],
  ['5.1', 'a ping without a mask', sends(frame(OP.ping, 'x', { mask: false })), WRONG,
    { got: 'pong x', why: NO_MASK }],
  ['5.3', 'a mask of zeros is a mask', sends(frame(OP.binary, hello(), { mask: Buffer.alloc(4) })), 'challenge'],
  ['5.6', 'a text message (SPEC.md 7.1.1)', sends(frame(OP.text, 'hello')),
    ['close 1003', 'close 1002', 'failure, close 1002', 'failure, close 1003']],
  ['5.6', 'an empty text message', sends(frame(OP.text, '')),
    ['close 1003', 'close 1002', 'failure, close 1002', 'failure, close 1003']],
  ['8.1', 'a text that is no UTF-8', sends(frame(OP.text, Buffer.from([0xff, 0xfe, 0xc0, 0x80]))),
    ['close 1007', 'close 1003', 'close 1002', 'failure, close 1002', 'failure, close 1003']],
  ['5.6', 'an empty binary message is no frame of ours', sends(frame(OP.binary, '')),
    ['failure, close 1002', 'failure, close 1008', 'close 1002']],
  ...[1, 2, 3, 4, 5, 6, 7].map((rsv) => ['5.2', `reserved bits ${rsv}`,
    sends(frame(OP.binary, hello(), { rsv })), WRONG]),
  ['5.2', 'reserved bits of a ping', sends(frame(OP.ping, 'x', { rsv: 4 })), WRONG],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => ['5.2', `reserved opcode ${opcode}`,
    sends(frame(opcode, 'x')), WRONG]),
];

const lengths = [
  ['5.2', '16 bits for a length that fits 7', sends(frame(OP.binary, hello('a'), { form: 16 })), WRONG,
    { got: 'challenge', why: LONG_FORM }],
  ['5.2', '64 bits for a length that fits 7', sends(frame(OP.binary, hello('a'), { form: 64 })), WRONG,
    { got: 'challenge', why: LONG_FORM }],
  ['5.2', '64 bits for a length that fits 16', sends(frame(OP.binary, hello('a'.repeat(100)), { form: 64 })), WRONG,
    { got: 'challenge', why: LONG_FORM }],
  ['5.2', '64 bits with the high bit set', sends(frame(OP.binary, 'x',
    { claims: Buffer.from('8000000000000001', 'hex') })), WRONG,
    { got: 'closed', why: ABRUPT }],
  ['5.2', '64 bits, all set', sends(frame(OP.binary, 'x', { claims: Buffer.alloc(8, 255) })), WRONG,
    { got: 'closed', why: ABRUPT }],
  ['10.4', 'a frame of 4 GiB is announced', sends(frame(OP.binary, 'x',
    { claims: Buffer.from('0000000100000000', 'hex') })),
  ['close 1009', 'failure, close 1009']],
  ['10.4', 'a frame one above the limit is announced', sends(frame(OP.binary, 'x',
    { claims: Buffer.from('0000000000100007', 'hex') })),
  ['close 1009', 'failure, close 1009']],
  ['10.4', 'fragments that are together above the limit', async (wire) => {
    const piece = Buffer.alloc(60000);
    wire.send(frame(OP.binary, piece, more));
    for (let i = 0; i < 18; i++) {
      wire.send(frame(OP.continuation, piece, more));
      await sleep(5);
    }
    return join(await wire.outcomes());
  }, ['close 1009', 'failure, close 1009', 'closed']], // who still sends may get a reset instead of the frame
  ['10.4', 'a message of 64 KiB before it says who it is (SPEC.md 7.2.2)',
    sends(frame(OP.binary, Buffer.alloc(65536))), ['failure, close 1009', 'close 1009', 'closed']],
];

const fragments = [
  ['5.4', 'two fragments', sends(frame(OP.binary, part(0, 20), more), frame(OP.continuation, part(20), last)),
    'challenge'],
  ['5.4', 'a fragment for each byte',
    sends(...[...h].map((byte, i) => frame(i === 0 ? OP.binary : OP.continuation, [byte],
      { fin: i === h.length - 1 }))), 'challenge'],
  ['5.4', 'fragments of zero bytes: first, between, last',
    sends(frame(OP.binary, '', more), frame(OP.continuation, part(0, 9), more), frame(OP.continuation, '', more),
      frame(OP.continuation, part(9), more), frame(OP.continuation, '', last)), 'challenge'],
  ['5.4', 'a ping between fragments', // which of two answers leaves first is nowhere said
    sends(frame(OP.binary, part(0, 20), more), frame(OP.ping, 'now'), frame(OP.continuation, part(20), last)),
    ['pong now, challenge', 'challenge, pong now']],
  ['5.4', 'a ping between fragments is answered before the message has ended', async (wire) => {
    wire.send(frame(OP.binary, part(0, 20), more), frame(OP.ping, 'now'));
    const first = await wire.outcome();
    wire.send(frame(OP.continuation, part(20), last));
    return join([first, ...(await wire.outcomes())]);
  }, 'pong now, challenge'],
  ['5.4', 'a pong between fragments is ignored',
    sends(frame(OP.binary, part(0, 20), more), frame(OP.pong, 'so'), frame(OP.continuation, part(20), last)),
    'challenge'],
  ['5.4', 'a continuation of nothing', sends(frame(OP.continuation, hello(), last)), WRONG],
  ['5.4', 'a continuation of nothing, with more to come', sends(frame(OP.continuation, 'x', more)), WRONG],
  ['5.4', 'a continuation of a message that has ended',
    sends(frame(OP.binary, part(0, 20), more), frame(OP.continuation, part(20), last),
      frame(OP.continuation, 'x', last)), ['challenge, close 1002', 'close 1002']],
  ['5.4', 'a second message within the first',
    sends(frame(OP.binary, part(0, 20), more), frame(OP.binary, hello(), last)), WRONG],
  ['5.4', 'a text within a binary message',
    sends(frame(OP.binary, part(0, 20), more), frame(OP.text, 'x', last)), WRONG],
  ['5.4', 'a close between fragments',
    sends(frame(OP.binary, part(0, 20), more), frame(OP.close, closePayload(1000))), 'close 1000'],
  ['5.4', 'half a message, and silence: closed after 5 s before it says who it is (SPEC.md 7.1.5)', async (wire) => {
    wire.send(frame(OP.binary, part(0, 20), more));
    return join(await wire.outcomes(9000));
  }, ['failure, close 1008', 'close 1008', 'closed']],
  ['5.2', 'half a frame header, and silence', async (wire) => {
    wire.send(frame(OP.binary, hello()).subarray(0, 1));
    return join(await wire.outcomes(9000));
  }, ['failure, close 1008', 'close 1008', 'closed']],
  ['5.2', 'half a mask, and silence', async (wire) => {
    wire.send(frame(OP.binary, hello()).subarray(0, 4));
    return join(await wire.outcomes(9000));
  }, ['failure, close 1008', 'close 1008', 'closed']],
  ['5.2', 'a frame a byte at a time', async (wire) => {
    for (const byte of frame(OP.binary, hello())) {
      wire.send([byte]);
      await sleep(3);
    }
    return join(await wire.outcomes());
  }, 'challenge'],
  ['5.2', '200 pings in one TLS record', async (wire) => {
    wire.send(...Array.from({ length: 200 }, (_, i) => frame(OP.ping, `${i}`)), frame(OP.binary, hello()));
    const all = await wire.outcomes();
    const pongs = all.filter((one) => one.startsWith('pong'));
    return `${all.includes('challenge') ? 'challenge' : all[all.length - 1]}, ` +
      `${pongs.length > 0 && pongs[pongs.length - 1] === 'pong 199' ? 'the last pong' : `pongs ${pongs.length}`}`;
  }, 'challenge, the last pong', { got: 'challenge, pongs 1', why: ONE_PONG }], // 5.5.3: the latest may do for all
];

const control = [
  ['5.5.2', 'a ping', sends(frame(OP.ping, 'abc')), 'pong abc'],
  ['5.5.2', 'an empty ping', sends(frame(OP.ping)), 'pong'],
  ['5.5', 'a ping of 125 bytes', sends(frame(OP.ping, 'p'.repeat(125))), `pong ${'p'.repeat(20)}`],
  ['5.5', 'a ping of 126 bytes', sends(frame(OP.ping, 'p'.repeat(126))), WRONG,
    { got: 'closed', why: ABRUPT }],
  ['5.5', 'a ping of 70,000 bytes', sends(frame(OP.ping, Buffer.alloc(70000))), WRONG,
    { got: 'closed', why: ABRUPT }],
  ['5.5', 'a ping in fragments', sends(frame(OP.ping, 'a', more), frame(OP.continuation, 'b', last)), WRONG],
  ['5.5', 'a pong in fragments', sends(frame(OP.pong, 'a', more)), WRONG],
  ['5.5', 'a close in fragments', sends(frame(OP.close, closePayload(1000), more)), WRONG],
  ['5.5', 'a close of 126 bytes', sends(frame(OP.close, closePayload(1000, 'x'.repeat(124)))), WRONG,
    { got: 'closed', why: ABRUPT }],
  ['5.5.3', 'a pong that nobody asked for', afterHello(frame(OP.pong, 'x')), 'challenge'],
  ['5.5.2', 'a ping that comes in two TLS records', async (wire) => {
    const ping = frame(OP.ping, 'halves');
    wire.send(ping.subarray(0, 8));
    await sleep(100);
    wire.send(ping.subarray(8));
    return join(await wire.outcomes());
  }, 'pong halves'],
];

const closing = [
  ['5.5.1', 'a close without a code', sends(frame(OP.close)), ['close 0', 'close 1000', 'close 1005']],
  ['5.5.1', 'a close of one byte', sends(frame(OP.close, 'x')), WRONG],
  ...[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999].map((code) =>
    ['7.4', `close ${code}`, sends(frame(OP.close, closePayload(code, 'bye'))), [`close ${code}`, 'close 1000']]),
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535].map((code) =>
    ['7.4', `close ${code}, which nobody may send`, sends(frame(OP.close, closePayload(code))), WRONG]),
  ['8.1', 'a reason that is no UTF-8', sends(frame(OP.close, closePayload(1000, Buffer.from([0xce, 0xba, 0xe1, 0xbd])))),
    ['close 1007', 'close 1002']],
  ['5.5', 'a reason of 123 bytes', sends(frame(OP.close, closePayload(1000, 'r'.repeat(123)))), 'close 1000'],
  ['5.5.1', 'a message after a close is not looked at',
    sends(frame(OP.close, closePayload(1000)), frame(OP.binary, hello())), 'close 1000'],
  ['5.5.1', 'a ping after a close is not looked at',
    sends(frame(OP.close, closePayload(1000)), frame(OP.ping, 'x')), 'close 1000'],
  ['7.1.5', 'two closes', sends(frame(OP.close, closePayload(1000)), frame(OP.close, closePayload(1001))), 'close 1000'],
  ['7.1.1', 'the end of TCP without a close', async (wire) => {
    wire.socket.end();
    return join(await wire.outcomes());
  }, 'closed'],
];

module.exports = { handshake, framing: [...messages, ...lengths, ...fragments, ...control, ...closing] };
