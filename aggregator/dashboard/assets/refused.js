// Where the page's web socket stays away: says so if it is refused for the address by which the page
// was opened. Without this the page would only say that it tries to reconnect.
const asked = new URL("../origin", document.currentScript.src);

setTimeout(async () => {
  if (window.did_handshake) return;
  const answer = await fetch(asked, { method: "POST" });
  if (answer.status !== 421) return;
  const why = document.createElement("p");
  why.className = "rm-banner";
  why.setAttribute("role", "alert");
  why.textContent = await answer.text();
  document.body.prepend(why);
}, 3000);
