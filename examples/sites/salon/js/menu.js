// On a narrow screen the menu folds behind a button; without this script it simply stays open.
const button = document.querySelector(".menu-button");
const menu = document.getElementById("site-menu");

if (button && menu) {
  button.hidden = false;
  document.body.classList.add("has-menu");

  const show = (open) => {
    menu.classList.toggle("open", open);
    button.setAttribute("aria-expanded", String(open));
  };

  button.addEventListener("click", () => show(!menu.classList.contains("open")));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.classList.contains("open")) {
      show(false);
      button.focus();
    }
  });
}
