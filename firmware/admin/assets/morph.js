// morph makes a piece of the page equal to another with as few changes as possible, so that what somebody has opened,
// focused or begun to type in stays. Elements with an id find each other by it, others by their place.

// What the reader has set and the server does not know.
const theirs = new Set(['open', 'value', 'checked']);

export function morph(from, to) {
  let at = from.firstChild;
  for (const want of [...to.childNodes]) {
    let have = want.id ? [...from.children].find((e) => e.id === want.id) : at;
    if (have && !want.id && have.id) have = null;
    if (!have || have.nodeName !== want.nodeName || have.nodeType !== want.nodeType) {
      from.insertBefore(want, at);
      continue;
    }
    if (have !== at) from.insertBefore(have, at);
    at = have.nextSibling;
    if (have.nodeType !== Node.ELEMENT_NODE) {
      if (have.nodeValue !== want.nodeValue) have.nodeValue = want.nodeValue;
    } else if (!have.isEqualNode(want)) {
      attributes(have, want);
      if (!have.classList.contains('rel')) morph(have, want);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function attributes(have, want) {
  for (const a of [...have.attributes]) if (!want.hasAttribute(a.name) && !theirs.has(a.name)) have.removeAttribute(a.name);
  for (const a of want.attributes) if (have.getAttribute(a.name) !== a.value && !(theirs.has(a.name) && have.hasAttribute(a.name))) have.setAttribute(a.name, a.value);
}
