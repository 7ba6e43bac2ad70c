import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const www = fileURLToPath(new URL(".", import.meta.url));

export default defineConfig({
  root: www,
  plugins: [svelte()],
  build: {
    target: "es2022",
    // An inlined asset would be a `data:` URL, which the pages' policy refuses for anything but images.
    assetsInlineLimit: 0,
    rolldownOptions: {
      // Every page is an HTML file here; the Worker's assets serve `verify.html` as `/verify`.
      input: readdirSync(www)
        .filter((name) => name.endsWith(".html"))
        .map((name) => www + name),
    },
  },
});
