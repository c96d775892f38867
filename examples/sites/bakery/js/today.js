// Marks today's row in the table of opening hours, by the bakery's own time.
const table = document.getElementById("opening");

if (table) {
  const name = new Intl.DateTimeFormat("en-US", { weekday: "short", timeZone: "Africa/Cairo" });
  const today = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"].indexOf(name.format(new Date()));
  for (const row of table.querySelectorAll("tr[data-days]")) {
    if (row.dataset.days.split(" ").includes(String(today))) {
      row.classList.add("today");
      row.setAttribute("aria-current", "date");
    }
  }
}
