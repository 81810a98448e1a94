// GitHub's own parser of workflows and actions, and its evaluator of expressions, behind lines of JSON:
// each line on stdin is a question, each on stdout its answer, in the same order.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { createInterface } from "node:readline";

import { Evaluator, Lexer, Parser, data } from "@actions/expressions";
import { NoOperationTraceWriter, convertWorkflowTemplate, parseWorkflow } from "@actions/workflow-parser";
import { parseAction } from "@actions/workflow-parser/actions/action-parser";
import { convertActionTemplate } from "@actions/workflow-parser/actions/action-template";
import { convertToIfCondition } from "@actions/workflow-parser/model/converter/if-condition";
import { isBasicExpression, isMapping, isSequence } from "@actions/workflow-parser/templates/tokens/type-guards";

const CONTEXTS = [
  "github", "env", "vars", "job", "jobs", "steps", "runner", "secrets", "strategy", "matrix", "needs", "inputs",
];

// A parsed file as plain values; an expression is {"${{": text}, and an `if` one that calls a status function.
function plain(context, token, key) {
  if (key === "if") {
    return { "${{": convertToIfCondition(context, token)?.expression ?? "" };
  }
  if (isMapping(token)) {
    const found = {};
    for (const item of token) {
      if (item.key.isExpression) {
        throw new Error("an expression stands in the place of a key: the harness knows no such thing");
      }
      found[item.key.toString()] = plain(context, item.value, item.key.toString());
    }
    return found;
  }
  if (isSequence(token)) {
    return [...token].map((item) => plain(context, item, ""));
  }
  if (isBasicExpression(token)) {
    return { "${{": token.expression };
  }
  if (token.isExpression) {
    throw new Error("${{ insert }}: the harness knows no such thing");
  }
  return token.value ?? null;
}

function errorsOf(context) {
  return context.errors.getErrors().map((error) => error.message);
}

async function workflow({ name, content }) {
  const { context, value } = parseWorkflow({ name, content }, new NoOperationTraceWriter());
  const template = value && (await convertWorkflowTemplate(context, value));
  if (errorsOf(context).length) {
    return { errors: errorsOf(context) };
  }
  const root = plain(context, value, "");
  return { errors: errorsOf(context), root, events: template.events };
}

function action({ name, content }) {
  const { context, value } = parseAction({ name, content }, new NoOperationTraceWriter());
  if (value) {
    convertActionTemplate(context, value);
  }
  if (errorsOf(context).length) {
    return { errors: errorsOf(context) };
  }
  const root = plain(context, value, "");
  return { errors: errorsOf(context), root };
}

// Files below a folder whose path fits a pattern, as `hashFiles` finds them: the hash of the hashes of their bytes.
function hashFiles(workspace, patterns) {
  const expressions = patterns.map((pattern) => pattern.trim()).filter(Boolean).map((pattern) => [
    !pattern.startsWith("!"),
    asExpression(pattern.replace(/^!/, "").replace(`${workspace}/`, "").replace(/^\.\//, "")),
  ]);
  const total = createHash("sha256");
  let any = false;
  for (const path of walk(workspace)) {
    let chosen = false;
    for (const [positive, expression] of expressions) {
      if (expression.test(relative(workspace, path))) {
        chosen = positive;
      }
    }
    if (chosen) {
      any = true;
      total.update(createHash("sha256").update(readFileSync(path)).digest());
    }
  }
  return any ? total.digest("hex") : "";
}

function asExpression(pattern) {
  const parts = pattern.split("/").map((part) =>
    part === "**" ? "**" : part.replace(/[.+^${}()|\\]/g, "\\$&").replace(/\*/g, "[^/]*").replace(/\?/g, "[^/]"),
  );
  const text = parts.join("/").replaceAll("**/", "(?:.*/)?").replaceAll("/**", "(?:/.*)?");
  return new RegExp(`^${text}$`);
}

function* walk(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      yield* walk(path);
    } else if (entry.isFile()) {
      yield path;
    }
  }
}

function functions(status, workspace) {
  const told = (name) => ({ name, minArgs: 0, maxArgs: 0, call: () => new data.BooleanData(status[name] ?? false) });
  const hashes = {
    name: "hashFiles",
    minArgs: 1,
    maxArgs: 255,
    call: (...patterns) => new data.StringData(hashFiles(workspace, patterns.map((item) => item.coerceString()))),
  };
  return [...["success", "failure", "cancelled", "always"].map(told), hashes];
}

function evaluate(expression, context, known) {
  const tokens = new Lexer(expression).lex().tokens;
  const tree = new Parser(tokens, CONTEXTS, known).parse();
  const named = new Map(known.map((item) => [item.name.toLowerCase(), item]));
  return JSON.parse(JSON.stringify(new Evaluator(tree, context, named).evaluate(), data.replacer));
}

// A value with every expression in it in its evaluated form.
function resolve({ value, contexts, status, workspace }) {
  const known = functions(status, workspace);
  const filled = Object.fromEntries(CONTEXTS.map((name) => [name, contexts[name] ?? {}]));
  const context = JSON.parse(JSON.stringify(filled), data.reviver);
  const walked = (item) => {
    if (Array.isArray(item)) {
      return item.map(walked);
    }
    if (item === null || typeof item !== "object") {
      return item;
    }
    if (typeof item["${{"] === "string") {
      return evaluate(item["${{"], context, known);
    }
    return Object.fromEntries(Object.entries(item).map(([name, member]) => [name, walked(member)]));
  };
  return { value: walked(value) };
}

const QUESTIONS = { workflow, action, resolve };

async function serve() {
  for await (const line of createInterface({ input: process.stdin })) {
    const { question, ...asked } = JSON.parse(line);
    let answer;
    try {
      answer = await QUESTIONS[question](asked);
    } catch (error) {
      answer = { failed: String(error.message ?? error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

serve();
