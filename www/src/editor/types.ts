export type { Json, OutputType, TestAnswer, VardeRecord } from "../api";
export type { WorkflowDraft } from "../lib/draft";
