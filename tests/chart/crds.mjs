// Reads manifests of custom resources as JSON from standard input and prints what their schemas do not allow. Values are
// checked by the validators of the @kubernetes-models packages, names of fields by their types, which know no others.
// usage: node crds.mjs TOOLS, TOOLS/node_modules being where the packages are
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [tools] = process.argv.slice(2);
const packages = {
  "gateway.networking.k8s.io": "gateway-api",
  "monitoring.coreos.com": "prometheus-operator",
  "postgresql.cnpg.io": "cloudnative-pg",
  "external-secrets.io": "external-secrets",
};
const require = createRequire(join(tools, "package.json"));
const ts = require("typescript");
const manifests = JSON.parse(readFileSync(0, "utf8"));
const problems = [];
const sources = ["// Written by tests/chart/crds.mjs.\n"];
const names = [];

for (const [index, { where, manifest }] of manifests.entries()) {
  const { apiVersion, kind } = manifest;
  const module = `@kubernetes-models/${packages[apiVersion.split("/")[0]]}/${apiVersion}/${kind}`;
  if (!packages[apiVersion.split("/")[0]]) {
    problems.push(`${where}: SKIPPED: no schema of ${apiVersion} is known`);
    continue;
  }
  const file = join(tools, "node_modules", `${module}.js`);
  let model;
  try {
    model = (await import(pathToFileURL(file)))[kind];
  } catch {
    problems.push(`${where}: there is no ${kind} in ${apiVersion}`);
    continue;
  }
  try {
    new model(manifest).validate();
  } catch (error) {
    problems.push(`${where}: ${error.message}`);
  }
  sources.push(`import type { I${kind} as I${index} } from "${module}";\nexport const of${index}: I${index} = ${JSON.stringify(manifest)};\n`);
  names.push(where);
}

const folder = join(tools, "crds");
mkdirSync(folder, { recursive: true });
const source = join(folder, "manifests.ts");
writeFileSync(source, sources.join("\n"));
const program = ts.createProgram([source], {
  noEmit: true,
  strict: true,
  skipLibCheck: true,
  types: [],
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
});
for (const found of ts.getPreEmitDiagnostics(program)) {
  const text = ts.flattenDiagnosticMessageText(found.messageText, " ");
  const before = found.file ? found.file.text.slice(0, found.start) : "";
  const last = [...before.matchAll(/export const of(\d+):/g)].pop();
  problems.push(`${last ? manifests[Number(last[1])].where : "crds"}: ${text}`);
}
for (const problem of problems) console.log(problem);
