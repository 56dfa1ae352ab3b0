// Copies a secret that is shown once. Without this it can be selected with one click.
export function copies(root) {
  for (const box of root.querySelectorAll('.secret')) {
    const button = box.querySelector('button');
    const says = box.querySelector('[role=status]');
    const text = box.querySelector('code');
    button.hidden = false;
    button.addEventListener('click', async () => {
      try {
        await navigator.clipboard.writeText(text.textContent);
        says.textContent = 'Copied';
      } catch { // the browser does not let pages copy
        getSelection().selectAllChildren(text);
        says.textContent = 'Selected: copy it with the keyboard';
      }
    });
  }
}
