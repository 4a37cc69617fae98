// small_disk.js - a disk of a few MiB that a test fills and frees: a tmpfs of its own, which needs the right
// to mount (root); without it the tests that need it are skipped and say so.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { execFileSync } = require('node:child_process');

const ROOM_BYTES = 24 * 1024; // what is left when it is full: less than one commit needs

class SmallDisk {
  // Sizes in MiB.
  constructor(folder, size) {
    this.folder = folder;
    this.ballast = path.join(folder, 'ballast');
    fs.mkdirSync(folder, { recursive: true });
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}m`, 'satchel-test', folder], { stdio: 'ignore' });
      this.mounted = true;
    } catch {
      this.mounted = false;
    }
  }

  // Everything but ROOM_BYTES is taken.
  fill() {
    const { bavail, bsize } = fs.statfsSync(this.folder);
    const fd = fs.openSync(this.ballast, 'a');
    try {
      const piece = Buffer.alloc(bsize);
      for (let left = bavail * bsize - ROOM_BYTES; left >= bsize; left -= bsize) {
        fs.writeSync(fd, piece);
      }
    } catch (error) { // the programs write at the same time
      if (error.code !== 'ENOSPC') {
        throw error;
      }
    } finally {
      fs.closeSync(fd);
    }
  }

  free() {
    fs.rmSync(this.ballast, { force: true });
  }

  done() {
    if (this.mounted) {
      execFileSync('umount', ['-l', this.folder]);
      this.mounted = false;
    }
  }
}

module.exports = { SmallDisk };
