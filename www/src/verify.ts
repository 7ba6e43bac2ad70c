import { mount } from "svelte";

import "./style.css";
import Verifier from "./verify/Verifier.svelte";

mount(Verifier, { target: document.getElementById("app")! });
