// The planted bugs, by area. Each: name; area; why - what goes wrong for people, and in which history
// it shows; file and edits [what stands there once, what stands there instead]; more - further files.
// PLANTED is true when the bug is chosen.
'use strict';

const areas = ['merge', 'apply', 'decide', 'turn', 'feed', 'install', 'push', 'links', 'store', 'guards', 'branches', 'attach', 'models', 'keep', 'people'];

exports.bugs = areas.flatMap((area) => require(`./bugs/${area}.js`));
