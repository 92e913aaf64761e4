// Runs the tests of a Cairo file in wasm-cairo and prints what it says of them: node run.mjs FOLDER_OF_NODE_MODULES FILE
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [, , packages, file] = process.argv;
const entry = createRequire(path.resolve(packages, "index.js")).resolve("wasm-cairo");
const cairo = await import(pathToFileURL(entry));
cairo.initSync({ module: fs.readFileSync(path.join(path.dirname(entry), "wasm-cairo_bg.wasm")) });
console.log(cairo.runTests(fs.readFileSync(file, "utf8"), true, "", false, false, true, "", false, false));
