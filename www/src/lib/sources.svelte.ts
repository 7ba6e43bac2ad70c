import { getContext, setContext } from "svelte";

import { of, type Api, type Enrollment, type Fields, type Json, type Page, type Trigger, type VardeRecord, type Workflow } from "../api";

// What a value can be picked from: properties seen lately, what triggers bring, outputs of earlier actions.

const KEY = Symbol("sources");
const RECENT = 20;

/** What a workflow's values can come from. */
export class Sources {
  recent = $state.raw<Enrollment[]>([]);
  triggers = $state.raw<Trigger[]>([]);
  objectType = $state("contact");
  /** What previews and tests are rendered from. */
  record = $state.raw<Json>(null);
  event = $state.raw<Json>();
  /** The enrollment that they are from; empty where they are made up. */
  from = $state("");
  /** Outputs of actions that were tested here, by action. */
  tested = $state.raw<Record<string, Fields>>({});

  properties = $derived(
    distinct([
      ...this.recent.flatMap(({ record }) => Object.keys(record.properties)),
      ...this.triggers.flatMap(({ mapping }) => mapping.map(({ property }) => property)),
      ...Object.keys(sampleRecord(this.objectType).properties),
    ]),
  );
  eventNames = $derived(
    distinct([
      ...this.triggers.flatMap(({ mapping }) => mapping.map(({ property }) => property)),
      ...this.recent.flatMap(({ event }) => Object.keys(event ?? {})),
    ]),
  );

  /** Looks at the workflow's recent records and its triggers; without a right to that, the samples do. */
  async load(api: Api, workflow: string): Promise<void> {
    const [enrollments, triggers] = await Promise.allSettled([
      api.get<Page<Enrollment>>(of(workflow, "enrollments"), { limit: RECENT }),
      api.get<Page<Trigger>>(of(workflow, "triggers")),
    ]);
    if (enrollments.status === "fulfilled") this.recent = enrollments.value.items;
    if (triggers.status === "fulfilled") this.triggers = triggers.value.items;
  }
}

/** Outputs that the actions before one declare, as `action.name`. */
export function earlierOutputs(workflow: Workflow, index: number): string[] {
  return workflow.actions.slice(0, index).flatMap(({ id, outputs }) => (outputs ?? []).map(({ name }) => `${id}.${name}`));
}

/** Outputs to preview an action with: from its tests, from the last record, or made up. */
export function sampleOutputs(workflow: Workflow, index: number, sources: Sources): Record<string, Fields> {
  const madeUp: Record<string, Json> = { string: "example", number: 1, boolean: true, json: { example: true } };
  const all: Record<string, Fields> = {};
  for (const { id, outputs } of workflow.actions.slice(0, index)) {
    const known = sources.tested[id] ?? sources.recent.find((one) => one.outputs[id] !== undefined)?.outputs[id] ?? {};
    const fields = (outputs ?? []).map(({ name, type }): [string, Json] => [name, known[name] ?? madeUp[type] ?? null]);
    if (fields.length > 0) all[id] = Object.fromEntries(fields);
  }
  return all;
}

function distinct(names: string[]): string[] {
  return [...new Set(names)].sort();
}

export function provideSources(): Sources {
  return setContext(KEY, new Sources());
}

export function nearbySources(): Sources {
  return getContext<Sources>(KEY);
}

/** A record to begin with. */
export function sampleRecord(objectType: string): VardeRecord {
  const properties: Record<string, VardeRecord["properties"]> = {
    contact: { email: "ada@example.com", firstname: "Ada", lastname: "Lovelace", lifecyclestage: "customer" },
    company: { name: "Analytical Engines", domain: "engines.example", industry: "COMPUTER_HARDWARE" },
    deal: { dealname: "100 cairns", amount: 1250, dealstage: "closedwon" },
    ticket: { subject: "A cairn has fallen", hs_ticket_priority: "HIGH" },
  };
  return { id: "51", properties: properties[objectType] ?? { name: "An example" } };
}
