{
  const bar = document.getElementById("filter");
  const cards = [...document.querySelectorAll("#samples .sample")];
  const choices = bar ? [...bar.querySelectorAll("select")] : [];
  if (choices.length) {
    const shown = bar.querySelector("[role=status]");
    const more = document.getElementById("more-samples");
    const filter = () => {
      const wanted = choices.filter((choice) => choice.value);
      let count = 0;
      for (const card of cards) {
        const fits = wanted.every((choice) =>
          card.dataset[choice.dataset.filters].split(" ").includes(choice.value));
        card.hidden = !fits;
        count += fits;
      }
      if (more && wanted.length) more.open = true;
      shown.textContent = wanted.length ? `${count} of ${cards.length} samples` : "";
    };
    choices.forEach((choice) => choice.addEventListener("change", filter));
    bar.hidden = false;
    filter();
  }
}
