// Reads a ZIP archive from stdin with npm's unzipper, as a stream; prints names and contents as JSON.
"use strict";
const unzipper = require("unzipper");

const files = {};
function fail(error) {
  console.error(error.message);
  process.exit(1);
}
process.stdin
  .pipe(unzipper.Parse())
  .on("entry", (entry) => {
    const chunks = [];
    entry.on("data", (chunk) => chunks.push(chunk)).on("error", fail);
    entry.on("end", () => {
      files[entry.path] = Buffer.concat(chunks).toString("base64");
    });
  })
  .on("error", fail)
  .on("close", () => process.stdout.write(JSON.stringify(files)));
