import { Api } from "../api";

// The tab's own: closing it signs out, and no other page of this origin gets to see it.
const KEY = "varde.token";

class Session {
  token = $state(sessionStorage.getItem(KEY));
  api = $derived(new Api(this.token ?? "", () => this.leave("The token isn't valid any more.")));
  /** Why somebody was signed out. */
  farewell = $state("");

  enter(token: string): void {
    sessionStorage.setItem(KEY, token);
    this.farewell = "";
    this.token = token;
  }

  leave(why = ""): void {
    sessionStorage.removeItem(KEY);
    this.farewell = why;
    this.token = null;
  }
}

export const session = new Session();
