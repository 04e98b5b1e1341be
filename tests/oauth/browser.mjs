// A browser without a screen: keeps cookies, follows redirects within a server, fills in its forms, and stops where a
// redirect leads to the client.

const jar = new Map();

async function visit(url, form) {
  const response = await fetch(url, {
    method: form ? "POST" : "GET",
    body: form,
    redirect: "manual",
    headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join("; ") },
  });
  for (const cookie of response.headers.getSetCookie()) {
    const [name, value] = cookie.split(";")[0].split("=");
    jar.set(name, value);
  }
  return response;
}

// Goes from the address at which a client wants someone's consent to the one at which it awaits the answer.
export async function consent(url, callback, person) {
  let next = new URL(url);
  let form;
  for (let step = 0; step < 20; step += 1) {
    const response = await visit(next, form);
    form = undefined;
    const location = response.headers.get("location");
    if (location) {
      next = new URL(location, next);
      if (next.href.startsWith(callback)) return next;
      continue;
    }
    const page = await response.text();
    const action = page.match(/<form[^>]* action="([^"]+)"/)?.[1];
    const prompt = page.match(/name="prompt" value="([a-z]+)"/)?.[1];
    if (!action || !prompt) throw new Error(`${response.status} at ${next}: ${page.slice(0, 300)}`);
    next = new URL(action, next);
    form = new URLSearchParams(prompt === "login" ? { prompt, login: person, password: "any" } : { prompt });
  }
  throw new Error("the server asks for ever");
}
