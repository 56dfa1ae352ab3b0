// Brings a page to life: parts that change, times that pass, secrets to copy, and an upload that shows how far it is.
import { copies } from './copy.js';
import { follow } from './live.js';
import { keepTimes } from './times.js';
import { uploads } from './upload.js';

keepTimes(document);
follow(document.body.dataset.live);
copies(document);
uploads(document.getElementById('update'));

// A menu closes when something else is pressed.
document.addEventListener('click', (e) => {
  for (const d of document.querySelectorAll('.me[open], .more details[open]')) if (!d.contains(e.target)) d.open = false;
});
document.addEventListener('keydown', (e) => {
  if (e.key !== 'Escape') return;
  for (const d of document.querySelectorAll('.me[open], .more details[open]')) { d.open = false; d.querySelector('summary').focus(); }
});
