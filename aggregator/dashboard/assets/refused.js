// While the page's web socket is away: asks whether it is refused. Without this the page would say
// for ever that it tries to reconnect.
const asked = new URL("../origin", document.currentScript.src);
// Where loading it anew did not help, as behind a server that lets pages through and redirects the
// question, it is not done again and again: milliseconds.
const [opened] = performance.getEntriesByType("navigation");
const wait = opened?.type === "reload" ? 60_000 : 0;

setInterval(async () => {
  if (window.socket?.connected) return;
  const answer = await fetch(asked, { method: "POST", redirect: "manual" }).catch(() => null);
  if (answer?.status === 401 || answer?.type === "opaqueredirect") {
    // The password is to be given again, here or at the server in front.
    if (performance.now() > wait) window.location.reload();
  } else if (answer?.status === 421 && !document.getElementById("refused")) {
    // The address by which the page was opened is not known as its own.
    const why = document.createElement("p");
    why.id = "refused";
    why.className = "rm-banner";
    why.setAttribute("role", "alert");
    why.textContent = await answer.text();
    document.body.prepend(why);
  }
}, 3000);
