// Follows the box: each event brings one part of the page as it is now.
import { morph } from './morph.js';
import { fillTimes } from './times.js';

// The only place where text becomes HTML: what the box's own templates have made and escaped.
const policy = window.trustedTypes?.createPolicy('holdfast', { createHTML: (s) => s }) ?? { createHTML: (s) => s };

// The box says something every ten seconds; when it does not, the page must not pretend to know.
const silence = 25000;

export function follow(path) {
  if (!path) return;
  const lost = document.getElementById('connection');
  const title = document.title;
  let heard = Date.now();
  let source = null;

  const alive = () => { heard = Date.now(); lost.hidden = true; };
  const part = (e) => {
    alive();
    const cut = e.data.indexOf('\n');
    const name = cut < 0 ? e.data : e.data.slice(0, cut);
    const place = document.querySelector(`[data-part="${CSS.escape(name)}"]`);
    if (!place) return;
    const fresh = document.createElement('template');
    fresh.innerHTML = policy.createHTML(cut < 0 ? '' : e.data.slice(cut + 1));
    morph(place, fresh.content);
    fillTimes(place);
    const tab = document.querySelector('[data-tab]');
    if (tab) document.title = `${tab.dataset.tab} – ${title}`;
  };
  const open = () => {
    source?.close();
    source = new EventSource(path);
    source.addEventListener('part', part);
    source.addEventListener('here', alive);
    source.addEventListener('end', () => location.reload());
    source.onopen = alive;
    source.onerror = () => {
      lost.hidden = false;
      if (source.readyState === EventSource.CLOSED) setTimeout(again, 5000);
    };
  };
  // The box answered, but not with changes: if the session has ended, the page itself leads to the login.
  const again = async () => {
    const page = await fetch(location.href, { method: 'HEAD', redirect: 'manual' }).catch(() => null);
    if (page?.type === 'opaqueredirect') location.reload();
    else open();
  };
  open();
  setInterval(() => {
    if (Date.now() - heard > silence) { lost.hidden = false; heard = Date.now(); open(); }
  }, 5000);
}
