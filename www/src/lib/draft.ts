import type { Action, Auth, Body, Expr, Method, Workflow } from "../api";

// What a form edits: an action with every part of it there.

export type Draft = Action & Required<Pick<Action, "auth" | "headers" | "query" | "body" | "outputs" | "retry">>;

export interface WorkflowDraft extends Workflow {
  actions: Draft[];
}

export const takesBody = (method: Method): boolean => method !== "GET" && method !== "DELETE";

export function draftOf(action: Action): Draft {
  const body: Body = takesBody(action.method) ? { kind: "all_properties" } : { kind: "none" };
  return { auth: { type: "none" }, headers: [], query: [], body, outputs: [], retry: {}, ...action };
}

export function newAction(taken: string[]): Draft {
  let number = taken.length + 1;
  while (taken.includes(`webhook-${number}`)) number += 1;
  return draftOf({ id: `webhook-${number}`, type: "webhook", method: "POST", url: "https://" });
}

/** The document of a stored workflow or an import, ready to be edited. */
export function workflowDraft(workflow: Workflow): WorkflowDraft {
  const { name, object_type, ordering, shards, retention_days, actions } = structuredClone(workflow);
  return {
    name,
    object_type,
    ordering: ordering ?? "none",
    shards: shards ?? 1,
    ...(retention_days === undefined ? {} : { retention_days }),
    actions: actions.map(draftOf),
  };
}

/** An authentication of another type that keeps what both have. */
export function authOf(type: Auth["type"], before: Auth): Auth {
  const secret = "secret" in before ? before.secret : "";
  switch (type) {
    case "none":
      return { type };
    case "api_key":
      return { type, location: "header", name: "Authorization", secret };
    case "basic":
      return { type, username: "", secret };
    case "oauth2_client_credentials":
      return { type, token_url: "https://", client_id: "", secret };
    case "hubspot_signature":
      return { type, secret, versions: ["v2", "v3"] };
    default:
      return { type, secret };
  }
}

/** A body of another kind that keeps what both have. */
export function bodyOf(kind: Body["kind"], before: Body): Body {
  switch (kind) {
    case "properties":
    case "form":
      return { kind, fields: "fields" in before ? before.fields : [] };
    case "json":
      return {
        kind,
        template:
          "fields" in before
            ? Object.fromEntries(before.fields.map(({ name, value }) => [name, `{{ ${reference(value)} }}`]))
            : { id: "{{ record.id }}" },
      };
    case "text":
      return { kind, template: "" };
    default:
      return { kind };
  }
}

/** A value as templates write it. */
export function reference(value: Expr): string {
  if ("property" in value) return `properties${member(value.property)}`;
  if ("event" in value) return `event${member(value.event)}`;
  if ("record" in value) return "record.id";
  if ("now" in value) return `now.${value.now}`;
  if ("output" in value) {
    const [action = "", name = ""] = value.output.split(".", 2);
    return `outputs${member(action)}${member(name)}`;
  }
  return JSON.stringify("static" in value ? value.static : value.template);
}

function member(name: string): string {
  return /^[A-Za-z_]\w*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
}
