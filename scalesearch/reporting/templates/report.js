(function () {
  "use strict";

  function worth(row, column) {
    var cell = row.cells[column];
    if (!cell.hasAttribute("data-value")) { return null; }
    var value = cell.getAttribute("data-value");
    return cell.classList.contains("number") ? Number(value) : value.toLowerCase();
  }

  function sort(table, column, way) {
    var body = table.tBodies[0];
    var rows = Array.from(body.rows, function (row, place) {
      return { row: row, place: place, worth: worth(row, column) };
    });
    rows.sort(function (one, other) {
      if (one.worth === other.worth) { return one.place - other.place; }
      if (one.worth === null) { return 1; } // unknown values are last in both directions
      if (other.worth === null) { return -1; }
      return (one.worth < other.worth ? -1 : 1) * way;
    });
    rows.forEach(function (one) { body.appendChild(one.row); });
  }

  document.querySelectorAll("table.sortable").forEach(function (table) {
    var heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach(function (head, column) {
      var button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", function () {
        var now = head.getAttribute("aria-sort");
        // Start with the largest number, or the first in the alphabet.
        var down = now ? now === "ascending" : head.classList.contains("number");
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        sort(table, column, down ? -1 : 1);
      });
    });
  });

  var box = document.getElementById("run");
  var runs = JSON.parse(document.getElementById("runs").textContent);
  var marks = Array.from(document.querySelectorAll(".mark"));

  function show(mark) {
    var candidate = mark.getAttribute("data-candidate");
    var title = document.createElement("h3"), list = document.createElement("dl");
    title.textContent = runs[candidate].title;
    list.className = "facts";
    runs[candidate].facts.forEach(function (fact) {
      var name = document.createElement("dt"), value = document.createElement("dd");
      name.textContent = fact[0];
      value.textContent = fact[1];
      list.append(name, value);
    });
    box.replaceChildren(title, list);
    marks.forEach(function (other) { other.classList.toggle("on", other === mark); });
    document.querySelectorAll("tr[data-candidate]").forEach(function (row) {
      row.classList.toggle("on", row.getAttribute("data-candidate") === candidate);
    });
  }

  marks.forEach(function (mark, place) {
    ["mouseenter", "focus", "click"].forEach(function (kind) {
      mark.addEventListener(kind, function () { show(mark); });
    });
    mark.addEventListener("keydown", function (event) {
      var step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) { return; }
      event.preventDefault();
      marks[(place + step + marks.length) % marks.length].focus();
    });
  });
})();
