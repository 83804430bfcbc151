/** The request as code, to be run elsewhere. Texts for people to copy: nothing of it runs here. */

import { pretty } from "./json.js";

const LONGEST = 30_000; // characters of a request that stands in the code; a longer one is read from a file

/** The languages, by the name that their button has. */
export const LANGUAGES = { curl: { title: "curl", write: curl }, python: { title: "Python", write: python }, javascript: { title: "JavaScript", write: javascript } };

/** Whether the request is read from a file. */
export const isLong = (request) => pretty(request).length > LONGEST;

function curl(request, address) {
  const body = isLong(request) ? "@request.json" : `'${pretty(request).replaceAll("'", "'\\''")}'`;
  return `curl -s ${address} -H 'Content-Type: application/json' -d ${body}`;
}

function python(request, address) {
  const body = isLong(request) ? 'open("request.json", "rb").read()' : `r"""${pretty(request)}"""`;
  return `import json
from urllib.request import Request, urlopen

body = ${body}
request = Request("${address}", ${isLong(request) ? "body" : "body.encode()"}, {"Content-Type": "application/json"})
with urlopen(request) as answer:
    gradients = json.load(answer)

for layer in gradients["layers"]:
    print(layer["dE_dw"])`;
}

function javascript(request, address) {
  const body = isLong(request) ? 'await readFile("request.json", "utf8")' : `JSON.stringify(${pretty(request)})`;
  return `${isLong(request) ? 'import { readFile } from "node:fs/promises";\n\n' : ""}const answer = await fetch("${address}", {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: ${body},
});
const gradients = await answer.json();

for (const layer of gradients.layers) console.log(layer.dE_dw);`;
}
