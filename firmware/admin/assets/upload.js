// Sends an update bundle and says how far it is; the box itself says in its own part of the page what it does with it.
const mb = (n) => `${(n / 1e6).toFixed(1)} MB`;

export function uploads(form) {
  if (!form) return;
  const says = form.querySelector('#upload');
  const button = form.querySelector('button');
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    const file = form.elements.bundle.files[0];
    if (!file) return;
    const began = Date.now();
    const req = new XMLHttpRequest();
    req.open('PUT', form.elements.force.checked ? '/api/v1/update?force=true' : '/api/v1/update');
    req.upload.onprogress = (p) => {
      const left = p.loaded ? ((Date.now() - began) / p.loaded) * (file.size - p.loaded) / 1000 : 0;
      says.textContent = `Sent ${mb(p.loaded)} of ${mb(file.size)}, about ${Math.ceil(left)} s left`;
    };
    req.onload = () => {
      button.disabled = false;
      if (req.status === 200) { says.textContent = 'Installed. The box restarts into it when no call runs.'; return; }
      let why = 'The box did not take it.';
      try { why = JSON.parse(req.responseText).error; } catch { /* not from the box */ }
      says.textContent = `Not installed: ${why}. The box runs on as before.`;
    };
    req.onerror = () => { button.disabled = false; says.textContent = 'The connection broke. Nothing was installed; try again.'; };
    button.disabled = true;
    req.send(file);
  });
}
