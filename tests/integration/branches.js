// branches.js - a company with servers in its branches: real programs, with a proxy on each branch's line to
// headquarters, which tests cut.
'use strict';
const net = require('node:net');
const path = require('node:path');
const lib = require('./lib.js');
const { Proxy } = require('./proxy.js');

// A port that is free now: a branch tells headquarters its address when it is enrolled, before it runs.
function freePort() {
  return new Promise((resolve, reject) => {
    const listener = net.createServer();
    listener.on('error', reject);
    listener.listen(0, '127.0.0.1', () => {
      const { port } = listener.address();
      listener.close(() => resolve(port));
    });
  });
}

class Branch extends lib.Server {
  // host: by which it knows headquarters; front: the port that devices are told, if it is not its own; faults: what
  // happens to the connections of its line (proxy.js).
  constructor(headquarters, name, { front, faults, random, port } = {}) {
    super(headquarters.folder, { name: `branch-${name.replace(/\W+/g, '-')}` });
    Object.assign(this, { headquarters, name, host: '127.0.0.1', front, faults, random, port });
  }

  // Enrols at headquarters, over a line of its own, and starts.
  async open(...flags) {
    await this.lineTo(this.headquarters);
    this.port ||= await freePort();
    await this.join(...flags);
    return this.start();
  }

  async lineTo(above) {
    await this.line?.close();
    this.line = new Proxy(above.port, this.faults, this.random);
    this.linePort = await this.line.listen();
  }

  // From its next start on it hangs below that branch instead of headquarters.
  async below(above) {
    const [{ pin }] = await above.sql(
      `SELECT hex(pin) AS pin FROM device WHERE address LIKE '%:${above.front || above.port}'`);
    await this.stop();
    await this.lineTo(above);
    this.flags = [...this.flags, '--upstream', `127.0.0.1:${this.linePort}`,
      '--upstream-pin', Buffer.from(pin, 'hex').toString('base64url')];
    return this.start();
  }

  async join(...flags) {
    const { ticket } = await this.headquarters.json('branch', 'ticket', this.name,
      '--host', `${this.host}:${this.linePort}`);
    await this.init('--upstream', ticket, '--host', `127.0.0.1:${this.front || this.port}`,
      '--listen', `127.0.0.1:${this.port}`, ...flags);
  }

  status() {
    return this.json('status');
  }

  // Until it is in touch with headquarters and all that was pending is decided.
  async inTouch() {
    let status;
    await lib.until(`branch ${this.name} is in touch`, async () => {
      status = await this.status();
      return status.connected && status.ready && status.pending === 0;
    }).catch((error) => { throw new Error(`${error.message}\n${JSON.stringify(status)}\n${this.job?.err}`); });
  }

  // The line to headquarters is down until mend().
  async cut() {
    this.line.clog();
    this.line.cutAll();
    await lib.until(`branch ${this.name} notices`, async () => !(await this.status()).connected);
  }

  // On the same port: the branch knows it. The proxy has held what it accepted meanwhile; that is let go.
  async mend() {
    this.line.cutAll();
    this.line.unclog();
    await this.inTouch();
  }

  async close() {
    await this.stop();
    await this.line.close();
  }

  // A new device of the user, enrolled at headquarters, that uses this branch.
  async deviceOf(login, name) {
    const device = await this.headquarters.device(login, name);
    await this.take(device);
    await device.sync();
    return device;
  }

  // The device uses this branch from now on, which has heard of it.
  async take(device) {
    const { device_id: id } = await device.json('status');
    await device.must('server', 'use', this.name);
    await lib.until(`branch ${this.name} knows the device`, async () =>
      (await this.sql(`SELECT name FROM device WHERE id=${lib.hexId(id)}`)).length === 1);
  }
}

async function openBranch(headquarters, name, ...flags) {
  const branch = new Branch(headquarters, name);
  await branch.open(...flags);
  await branch.inTouch();
  return branch;
}

module.exports = { Branch, openBranch, freePort, latencyProgram: path.join(lib.bin, 'satchel_bench_latency') };
