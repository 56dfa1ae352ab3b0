// Times stand on the page as moments; how long ago or until is counted here, by the box's clock as far as it is known.
const unit = (s) => {
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} days`;
};

const text = (span, now) => {
  const d = span.dataset;
  const past = (t) => Math.max(0, Math.floor((now - Date.parse(t)) / 1000));
  if (d.ago) return `, ${unit(past(d.ago))} ago`;
  if (d.for) return `, ${unit(past(d.for))}`;
  if (d.until) return `, in ${unit(Math.max(0, Math.ceil((Date.parse(d.until) - now) / 1000)))}`;
  return '';
};

export function fillTimes(root) {
  const now = Date.now();
  for (const span of root.querySelectorAll('.rel')) {
    const t = text(span, now);
    if (span.textContent !== t) span.textContent = t;
  }
}

export function keepTimes(root) {
  fillTimes(root);
  setInterval(() => { if (!document.hidden) fillTimes(root); }, 1000);
  document.addEventListener('visibilitychange', () => fillTimes(root));
}
