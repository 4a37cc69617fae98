// suites.js - runs nmap, testssl.sh and slowhttptest against a headquarters of its own on loopback, judges
// what they say, and writes RESULTS.md. Started by run.sh.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { execFileSync } = require('node:child_process');
const lib = require('../integration/lib.js');
const { Proxy } = require('../integration/proxy.js');

const RESULTS = path.join(__dirname, 'RESULTS.md');

// What testssl.sh marks, and why it stays.
const ACCEPTED = {
  cert_chain_of_trust: 'self-signed on purpose: devices pin the key, no authority is asked (DESIGN.md 12)',
  cert_validityPeriod: 'as above: a pinned key does not become safer by a date',
  cert_extlifeSpan: 'as above: a pinned key does not become safer by a date',
  cert_revocation: 'as above: there is no authority that could revoke; devices are revoked by headquarters',
  cert_crlDistributionPoints: 'as above', cert_ocspURL: 'as above', OCSP_stapling: 'as above',
  cert_mustStapleExtension: 'as above', DNS_CAArecord: 'as above', certificate_transparency: 'as above',
  HSTS: 'no browser is served: a health page and a 404, both without a link',
  security_headers: 'as above',
  engine_problem: 'of the openssl program on this machine, not of the server',
  clientsimulation: 'clients without TLS 1.3 are none of ours',
};
const CIPHERS = ['TLS_AKE_WITH_AES_256_GCM_SHA384', 'TLS_AKE_WITH_CHACHA20_POLY1305_SHA256',
  'TLS_AKE_WITH_AES_128_GCM_SHA256'];
const NMAP_SCRIPTS = ['ssl-enum-ciphers', 'ssl-cert', 'ssl-date', 'ssl-dh-params', 'ssl-heartbleed', 'ssl-poodle',
  'ssl-ccs-injection', 'ssl-known-key', 'sslv2', 'sslv2-drown', 'tls-alpn', 'tls-nextprotoneg', 'tls-ticketbleed'];
const SYNC_MAX_MS = 3000; // of another client, while slowhttptest runs

const sections = [];
const problems = [];

function check(ok, what) {
  if (!ok) {
    problems.push(what);
  }
  return ok ? 'yes' : '**no**';
}

function versionOf(name) {
  try {
    return execFileSync('dpkg-query', ['-W', '-f=${Version}', name], { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
  } catch {
    return 'not a Debian package here';
  }
}

// --- TLS ------------------------------------------------------------------------------------------

async function nmap(server) {
  const { out } = await lib.must('nmap', ['-Pn', '-n', '-p', String(server.port), '--script', NMAP_SCRIPTS.join(','),
    '127.0.0.1'], { limit: 300000 });
  const protocols = [...out.matchAll(/^\| +((?:SSL|TLS)v[\d.]+):/gm)].map((match) => match[1]);
  const ciphers = [...out.matchAll(/^\| +(TLS_\w+) \((\w+)\) - (\w)/gm)].map((match) => match.slice(1));
  const vulnerable = [...out.matchAll(/State: (?!NOT )(\w+)/g)].length;
  const alpn = /tls-alpn:([\s\S]*?)(?=\n\| \w|\n\|_\w|\n\n)/.exec(out)?.[1] ?? '';
  sections.push(`## nmap ${versionOf('nmap')}, scripts ${NMAP_SCRIPTS.join(', ')}

| | found | as it should be |
|---|---|---|
| protocols | ${protocols.join(', ')} | ${check(protocols.join() === 'TLSv1.3', 'nmap: other protocols than TLS 1.3')} |
| ciphers | ${ciphers.map(([name, group, grade]) => `${name} (${group}) ${grade}`).join('<br>')} | ${
  check(ciphers.length === 3 && ciphers.every(([name, , grade]) => CIPHERS.includes(name) && grade === 'A'),
    'nmap: other ciphers')} |
| vulnerable (Heartbleed, POODLE, CCS, DROWN, Ticketbleed, known key, weak DH) | ${vulnerable} | ${
  check(vulnerable === 0, 'nmap: vulnerable')} |
| ALPN beside http/1.1 | ${/h2|spdy/.test(alpn) ? alpn.trim() : 'none'} | ${check(!/h2|spdy/.test(alpn), 'nmap: ALPN')} |
`);
}

async function testssl(server, folder) {
  const file = path.join(folder, 'testssl.json');
  await lib.run('testssl', ['--quiet', '--color', '0', '--warnings', 'off', '--jsonfile', file,
    `127.0.0.1:${server.port}`], { limit: 900000 }); // its exit code counts what it marks
  const findings = JSON.parse(fs.readFileSync(file, 'utf8'));
  const counts = {};
  findings.forEach(({ severity }) => { counts[severity] = (counts[severity] || 0) + 1; });
  const marked = findings.filter(({ severity }) => !['OK', 'INFO', 'DEBUG'].includes(severity));
  const reason = ({ id }) => ACCEPTED[id.replace(/[ <].*$/, '')] || ACCEPTED[id.split('-')[0]];
  marked.filter((one) => !reason(one)).forEach((one) => problems.push(`testssl: ${one.id}: ${one.finding}`));
  const of = (id) => findings.find((one) => one.id === id)?.finding || 'not told';
  check(findings.length > 100 && of('TLS1_3').startsWith('offered'), 'testssl: it did not run to its end');
  sections.push(`## testssl.sh ${versionOf('testssl.sh')}

${findings.length} findings: ${Object.entries(counts).map(([severity, count]) => `${count} ${severity}`).join(', ')}.

| | testssl.sh says |
|---|---|
${['SSLv2', 'SSLv3', 'TLS1', 'TLS1_1', 'TLS1_2', 'TLS1_3', 'cipherlist_aNULL', 'cipherlist_STRONG', 'FS_ECDHE_curves',
    'PFS_ECDHE_curves', 'secure_renego', 'secure_client_renego', 'CRIME_TLS', 'BREACH', 'banner_server', 'sessionresumption_ticket']
    .filter((id) => findings.some((one) => one.id === id)).map((id) => `| ${id} | ${of(id)} |`).join('\n')}

${marked.length} are marked:

| finding | severity | it says | why it stays |
|---|---|---|---|
${marked.map((one) => `| ${one.id} | ${one.severity} | ${one.finding} | ${reason(one) || '**open**'} |`).join('\n')}
`);
}

// --- Slow clients ---------------------------------------------------------------------------------

// slowhttptest, what it does, its arguments, the server's own flags. All come from one address.
const ATTACKS = [
  ['slow headers (slowloris), 200 connections', ['-H', '-c', '200']],
  ['slow body, 200', ['-B', '-c', '200', '-s', '8192']],
  ['range header, 200', ['-R', '-c', '200', '-a', '10', '-b', '3000']],
  ['slow read, 200', ['-X', '-c', '200', '-w', '1', '-y', '8', '-n', '5', '-z', '1', '-k', '3']],
  ['slow headers, 1,000: over the limit of 256 per address', ['-H', '-c', '1000']],
  ['slow headers, 2,000, with that limit lifted', ['-H', '-c', '2000'], ['--per-address', '5000']],
];
const ATTACK_SECONDS = 25;

// Syncs one after the other until it is told to stop; the ms of each.
async function syncsUntil(device, isOver) {
  const times = [];
  while (!isOver()) {
    await device.add('party', `name=beside ${times.length}`);
    const from = Date.now();
    await device.sync();
    times.push(Date.now() - from);
    await lib.sleep(100);
  }
  return times.sort((a, b) => a - b);
}

function figures(times) {
  return `${times.length} syncs, median ${times[times.length >> 1]} ms, longest ${times[times.length - 1]} ms`;
}

// When the last connection was gone, and the most at once, from slowhttptest's table.
function readCsv(file) {
  const rows = fs.readFileSync(file, 'utf8').trim().split('\n').slice(1).map((line) => line.split(',').map(Number));
  const most = Math.max(...rows.map(([, , , connected]) => connected));
  const lastOpen = rows.filter(([, , , connected]) => connected > 0).map(([second]) => second).pop() ?? 0;
  return { most, lastOpen };
}

async function attack(folder, [name, args, flags = []], number) {
  const server = await lib.headquarters(`slow-${number}`);
  await server.stop();
  await server.start(...flags);
  // The other client comes from another address, so that the limit per address is not its own.
  const proxy = new Proxy(server.port, () => ({ kind: 'none' }), Math.random, '127.0.0.2');
  const port = await proxy.listen();
  const device = new lib.Device(path.join(server.folder, 'beside'));
  await device.must('enroll', await server.ticket('anna', '--host', `127.0.0.1:${port}`));
  await device.sync();
  const files = () => fs.readdirSync(`/proc/${server.job.child.pid}/fd`).length;
  const base = files();
  const held = { most: 0, last: 0 };
  let over = false;
  const quiet = syncsUntil(device, () => over);
  await lib.sleep(4000);
  over = true;
  const before = await quiet;
  const output = path.join(folder, `slow-${number}`);
  over = false;
  const watch = setInterval(() => {
    if (!over) {
      held.last = Math.max(0, files() - base);
      held.most = Math.max(held.most, held.last);
    }
  }, 250);
  const running = lib.run('slowhttptest', [...args, '-g', '-o', output, '-i', '4', '-r', '400', '-l',
    String(ATTACK_SECONDS), '-t', 'GET', '-p', '3', '-u', `https://127.0.0.1:${server.port}/health`], { limit: 120000 })
    .finally(() => { over = true; });
  const during = await syncsUntil(device, () => over);
  const result = await running;
  clearInterval(watch);
  const ended = /Exit status: *(.*)/.exec(result.out.replace(/\x1b\[[0-9;]*m/g, ''))?.[1] || `exit ${result.code}`;
  const { most, lastOpen } = readCsv(`${output}.csv`);
  check(during[during.length - 1] <= SYNC_MAX_MS, `slowhttptest ${name}: another client waited ${during[during.length - 1]} ms`);
  check(ended.includes('No open connections left') || ended.includes('Hit test time limit'), `slowhttptest ${name}: ${ended}`);
  check(!args.includes('-X') || held.last < 20, `slowhttptest ${name}: the server still holds ${held.last} connections`);
  check(most > 0, `slowhttptest ${name}: it did not connect`);
  const stopped = await server.stop();
  check(stopped.code === 0, `slowhttptest ${name}: the server did not end in order`);
  await proxy.close();
  return `| ${name} | ${most} | ${lastOpen} s | ${ended} | ${held.most}, ${held.last} | ${figures(before)} | ${figures(during)} |`;
}

async function slow(server, folder) {
  const rows = [];
  for (const [number, one] of ATTACKS.entries()) {
    rows.push(await attack(folder, one, number));
  }
  sections.push(`## slowhttptest ${versionOf('slowhttptest')}

400 new connections a second from 127.0.0.1, more data each 4 s, for ${ATTACK_SECONDS} s at most. Beside it one client
from 127.0.0.2 writes and syncs without a pause; it must always succeed, within ${SYNC_MAX_MS} ms. Who reads
slowly keeps a socket of the kernel's; the server has closed it.

| test | most connections | the last one open | it ended | held by the server: most, in the end | the other client before | and during |
|---|---|---|---|---|---|---|
${rows.join('\n')}
`);
}

// --- All ------------------------------------------------------------------------------------------

const SUITES = { nmap, testssl, slow };

async function main() {
  const names = process.argv.slice(2).length ? process.argv.slice(2) : Object.keys(SUITES);
  if (!lib.programsExist() || names.some((name) => !SUITES[name])) {
    throw new Error(`usage: run.sh [${Object.keys(SUITES).join('|')} ...]; the programs are looked for in ${lib.bin}`);
  }
  const folder = lib.temporaryFolder('suites');
  const server = await lib.headquarters('suites-server');
  for (const name of names) {
    console.log(`== ${name}`);
    await SUITES[name](server, folder);
  }
  await server.kill();
  const version = (await lib.must('satcheld', ['--version'])).out.trim();
  const text = `# Public suites against the server

Written by \`./dev conformance\` (tests/conformance/run.sh) on ${new Date().toISOString().slice(0, 10)}: ${version},
libwebsockets ${versionOf('libwebsockets17')}, OpenSSL ${versionOf('libssl3')}.

${problems.length ? `**${problems.length} problems:**\n\n${problems.map((one) => `- ${one}`).join('\n')}` : 'Nothing is open.'}

Autobahn's test suite is a Python 2 package that Debian 12 does not have; \`websocket.test.js\` and
\`hostile_server.test.js\` are our own cases of RFC 6455, in \`./dev test\`.

${sections.join('\n')}`;
  if (names.length === Object.keys(SUITES).length) {
    fs.writeFileSync(RESULTS, text);
    console.log(`written: ${path.relative(lib.source, RESULTS)}`);
  } else {
    console.log(text);
  }
  problems.forEach((one) => console.error(`problem: ${one}`));
  process.exitCode = problems.length ? 1 : 0;
}

main().catch((error) => {
  console.error(error.stack);
  process.exitCode = 1;
}).finally(lib.cleanUp);
