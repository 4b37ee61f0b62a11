"use strict";
for (const button of document.querySelectorAll("button[data-copies]")) {
  const source = document.getElementById(button.dataset.copies);
  const said = button.nextElementSibling;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent);
      said.textContent = "Copied.";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      said.textContent = document.execCommand("copy") ? "Copied." : "Selected: copy it now.";
    }
  });
}

for (const area of document.querySelectorAll(".scroll")) {
  const hint = document.createElement("p");
  hint.className = "soft hint";
  hint.ariaHidden = "true";
  hint.textContent = "Scroll sideways for more →";
  area.before(hint);
  const update = () => {
    const hidden = area.scrollWidth - area.clientWidth - area.scrollLeft;
    area.classList.toggle("cut", hidden > 1);
    hint.classList.toggle("needed", hidden > 1);
  };
  area.addEventListener("scroll", update, { passive: true });
  new ResizeObserver(update).observe(area);
}

const links = new Map();
for (const link of document.querySelectorAll("nav a")) {
  links.set(document.getElementById(link.hash.slice(1)), link);
}
const inView = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) inView.add(entry.target);
    else inView.delete(entry.target);
  }
  const current = [...links.keys()].find((section) => inView.has(section));
  for (const [section, link] of links) {
    if (section === current) {
      link.setAttribute("aria-current", "true");
      const bar = link.closest("nav");
      bar.scrollTo({ left: link.offsetLeft - bar.clientWidth / 3 });
    } else {
      link.removeAttribute("aria-current");
    }
  }
}, { rootMargin: "-15% 0px -60% 0px" });
for (const section of links.keys()) watcher.observe(section);

let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const part of folded) part.open = true;
});
addEventListener("afterprint", () => {
  for (const part of folded) part.open = false;
});
