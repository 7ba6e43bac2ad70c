/** Anything that JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** What every call throws. */
export interface VardeError extends Error {
  /** A stable slug: `invalid_input`, `malformed_json`, `missing_output`, … */
  code: string;
  /** All mistakes of an input, each with the JSON Pointer of its place. */
  errors?: { pointer: string; message: string }[];
  /** Where a pasted text can't be read; from 1, the column in characters. */
  line?: number;
  column?: number;
}
