// wire.js - RFC 6455 by hand, to say what a WebSocket library would not let one say: both sides' frames as
// bytes, a raw TLS client that sends what it is given, and the frames that come back.
'use strict';
const crypto = require('node:crypto');
const tls = require('node:tls');

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'; // RFC 6455 1.3
const SUBPROTOCOL = 'satchel.v1';
const OP = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

function acceptKey(key) {
  return crypto.createHash('sha1').update(key + GUID).digest('base64');
}

// The length field (5.2): in its shortest form unless `form` says 7, 16 or 64 bits.
function lengthBytes(size, form) {
  const shortest = size < 126 ? 7 : size < 65536 ? 16 : 64;
  switch (form || shortest) {
    case 7: return Buffer.from([size]);
    case 16: return Buffer.from([126, size >> 8, size & 255]);
    default: {
      const bytes = Buffer.alloc(9);
      bytes[0] = 127;
      bytes.writeBigUInt64BE(BigInt(size), 1);
      return bytes;
    }
  }
}

// One frame. mask: false, or 4 bytes (a client's: random). claims: another length than the payload's, as
// the 8 bytes of the 64-bit form.
function frame(opcode, payload = '', { fin = true, rsv = 0, mask = crypto.randomBytes(4), form, claims } = {}) {
  const body = Buffer.from(payload);
  const length = claims ? Buffer.concat([Buffer.from([127]), claims]) : lengthBytes(body.length, form);
  const head = Buffer.concat([Buffer.from([(fin ? 0x80 : 0) | rsv << 4 | opcode]), length]);
  if (!mask) {
    return Buffer.concat([head, body]);
  }
  head[1] |= 0x80;
  return Buffer.concat([head, mask, body.map((byte, i) => byte ^ mask[i % 4])]);
}

function closePayload(code, reason = '') {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(code);
  return Buffer.concat([bytes, Buffer.from(reason)]);
}

// A frame at the front of the bytes: { fin, rsv, opcode, masked, payload, size }, or null: not all is there.
function parseFrame(bytes) {
  if (bytes.length < 2) {
    return null;
  }
  let size = bytes[1] & 127;
  let at = 2;
  if (size === 126) {
    if (bytes.length < 4) {
      return null;
    }
    size = bytes.readUInt16BE(2);
    at = 4;
  } else if (size === 127) {
    if (bytes.length < 10) {
      return null;
    }
    size = Number(bytes.readBigUInt64BE(2));
    at = 10;
  }
  const masked = (bytes[1] & 128) !== 0;
  const mask = masked ? bytes.subarray(at, at + 4) : null;
  at += masked ? 4 : 0;
  if (bytes.length < at + size) {
    return null;
  }
  const body = bytes.subarray(at, at + size);
  return { fin: (bytes[0] & 128) !== 0, rsv: (bytes[0] >> 4) & 7, opcode: bytes[0] & 15, masked,
    payload: masked ? body.map((byte, i) => byte ^ mask[i % 4]) : body, size: at + size };
}

// The request that is right (4.1). headers: null leaves one out, an array repeats it.
function request({ method = 'GET', path = '/satchel', version = 'HTTP/1.1', headers = {}, key } = {}) {
  const all = { Host: 'localhost', Upgrade: 'websocket', Connection: 'Upgrade',
    'Sec-WebSocket-Key': key || crypto.randomBytes(16).toString('base64'), 'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Protocol': SUBPROTOCOL, ...headers };
  const lines = Object.entries(all).filter(([, value]) => value !== null)
    .flatMap(([name, value]) => [].concat(value).map((one) => `${name}: ${one}`));
  return `${[`${method} ${path} ${version}`, ...lines].join('\r\n')}\r\n\r\n`;
}

// A Satchel frame (SPEC.md 7.2) with HELLO of a device that is not enrolled: the answer is CHALLENGE, so it
// shows that a message arrived whole. `agent` makes it as long as wanted.
function hello(agent = 'conformance') {
  const text = Buffer.from(agent);
  const head = text.length < 32 ? Buffer.from([0xa0 | text.length]) : Buffer.from([0xd9, text.length]);
  const start = [0x95, 1, 1, 0xc4, 16, ...new Array(16).fill(0), 0xc4, 32];
  const payload = Buffer.concat([Buffer.from(start), crypto.randomBytes(32), head, text]);
  const size = Buffer.alloc(4);
  size.writeUInt32BE(payload.length);
  return Buffer.concat([Buffer.from([1, 0]), size, payload]);
}

const CHALLENGE = 2;
const FAILURE = 7;

// A connection that sends what it is told and keeps what comes.
class Wire {
  constructor(port, options = {}) {
    this.bytes = Buffer.alloc(0);
    this.ended = false;
    this.waiting = [];
    this.socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, minVersion: 'TLSv1.3',
      ALPNProtocols: ['http/1.1'], ...options });
    this.socket.setNoDelay(true);
    this.ready = new Promise((resolve, reject) => {
      this.socket.once('secureConnect', resolve);
      this.socket.once('error', reject);
    });
    this.ready.catch(() => {});
    this.socket.on('error', () => {});
    this.socket.on('data', (data) => { this.bytes = Buffer.concat([this.bytes, data]); this.wake(); });
    for (const event of ['end', 'close']) {
      this.socket.on(event, () => { this.ended = true; this.wake(); });
    }
  }

  wake() {
    this.waiting.splice(0).forEach((go) => go());
  }

  send(...pieces) {
    if (!this.socket.destroyed) {
      this.socket.write(Buffer.concat(pieces.map((piece) => Buffer.from(piece))));
    }
    return this;
  }

  // Waits until take() gives something, the other side is gone (null), or the time is over ('time').
  async until(take, ms) {
    const end = Date.now() + ms;
    for (;;) {
      const found = take();
      if (found) {
        return found;
      }
      const left = end - Date.now();
      if (this.ended || left <= 0) {
        return this.ended ? null : 'time';
      }
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.waiting.push(() => { clearTimeout(timer); resolve(); });
      });
    }
  }

  // { status, headers, text } of an answer; text is what has come behind the headers.
  async answer(ms = 3000) {
    const found = await this.until(() => {
      const end = this.bytes.indexOf('\r\n\r\n');
      if (end < 0) {
        return null;
      }
      const [first, ...lines] = this.bytes.subarray(0, end).toString('latin1').split('\r\n');
      this.bytes = this.bytes.subarray(end + 4);
      const headers = Object.fromEntries(lines.map((line) => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }));
      return { status: Number(first.split(' ')[1]), first, headers };
    }, ms);
    return found === 'time' || found === null ? { status: found === null ? 'closed' : 'time', headers: {} } : found;
  }

  frame(ms = 3000) {
    return this.until(() => {
      const found = parseFrame(this.bytes);
      if (found) {
        this.bytes = this.bytes.subarray(found.size);
      }
      return found;
    }, ms);
  }

  // What the server did, in words: 'challenge', 'failure', 'pong ..', 'close 1002', 'closed', 'open' (nothing
  // within the time). A close is followed to the end of the connection.
  async outcome(ms = 3000) {
    const found = await this.frame(ms);
    if (found === null || found === 'time') {
      return found === null ? 'closed' : 'open';
    }
    if (found.masked || found.rsv) {
      return 'a frame that no server may send';
    }
    switch (found.opcode) {
      case OP.binary: return { [CHALLENGE]: 'challenge', [FAILURE]: 'failure' }[found.payload[0]] || 'binary';
      case OP.pong: return `pong ${found.payload.toString('latin1').slice(0, 20)}`.trim();
      case OP.close: {
        const code = found.payload.length >= 2 ? found.payload.readUInt16BE(0) : 0;
        const gone = await this.until(() => null, 8000);
        return gone === null ? `close ${code}` : `close ${code}, but the connection stays`;
      }
      default: return `opcode ${found.opcode}`;
    }
  }

  // All of them until the connection ends or is silent.
  async outcomes(ms = 2000) {
    const all = [];
    for (;;) {
      const one = await this.outcome(ms);
      if (one === 'open') {
        return all;
      }
      all.push(one);
      if (/^close/.test(one)) {
        return all;
      }
    }
  }

  close() {
    this.socket.destroy();
  }
}

// A WebSocket that is open.
async function open(port, options) {
  const wire = new Wire(port, options);
  await wire.ready;
  const key = crypto.randomBytes(16).toString('base64');
  wire.send(request({ key }));
  const answer = await wire.answer(10000);
  if (answer.status !== 101 || answer.headers['sec-websocket-accept'] !== acceptKey(key) ||
      answer.headers['sec-websocket-protocol'] !== SUBPROTOCOL) {
    throw new Error(`no WebSocket: ${JSON.stringify(answer)}`);
  }
  return wire;
}

module.exports = { OP, SUBPROTOCOL, acceptKey, frame, closePayload, parseFrame, request, hello, Wire, open };
