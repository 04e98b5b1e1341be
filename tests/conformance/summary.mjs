// Reads what the suite wrote and says how the revision stands. A scenario passes when no check of it failed or
// warned. Every failure must be expected, and every expected failure must still fail.
// usage: node summary.mjs REVISION RESULTS_FOLDER REQUIREMENTS_YAML [EXPECTED_YAML]

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { createRequire } from "node:module";

const [revision, folder, requirementsFile, expectedFile] = process.argv.slice(2);
const require = createRequire(join(import.meta.dirname, "../clients/package.json"));
const { parse } = require("yaml");

const requirements = parse(readFileSync(requirementsFile, "utf8"));
const expected = new Set(expectedFile ? parse(readFileSync(expectedFile, "utf8")).server : []);
const required = requirements.server;
const extra = requirements.not_scored.filter((entry) => entry.leg === "server" && entry.reason !== "extension");
const results = readResults();

const problems = [];
let passed = 0;
for (const scenario of required) {
  const failures = failuresOf(scenario);
  if (failures.length === 0) {
    passed += 1;
    if (expected.has(scenario)) problems.push(`${scenario} passes: take it off the list of expected failures`);
  } else if (!expected.has(scenario)) {
    problems.push(`${scenario}\n${failures.map((failure) => `    ${failure}`).join("\n")}`);
  }
}
for (const scenario of expected) {
  if (!required.includes(scenario)) problems.push(`${scenario} is expected to fail, but ${revision} does not require it`);
}
for (const { scenario } of extra) {
  const failures = failuresOf(scenario);
  console.log(`not scored: ${scenario} ${failures.length === 0 ? "passes" : `fails: ${failures[0]}`}`);
}
for (const problem of problems) console.log(`FAIL ${revision} ${problem}`);
console.log(`CONFORMANCE ${revision} ${passed}/${required.length} ${expected.size}`);
process.exit(problems.length === 0 ? 0 : 1);

function readResults() {
  const found = new Map();
  for (const name of readdirSync(folder)) {
    const match = /^server-(.+)-\d{4}-\d\d-\d\dT.*$/.exec(name);
    if (match) found.set(match[1], JSON.parse(readFileSync(join(folder, name, "checks.json"), "utf8")));
  }
  return found;
}

function failuresOf(scenario) {
  const checks = results.get(scenario);
  if (!checks) return ["the suite wrote no result"];
  return checks
    .filter((check) => check.status === "FAILURE" || check.status === "WARNING")
    .map((check) => `${check.status} ${check.id}: ${check.errorMessage ?? check.description}`);
}
