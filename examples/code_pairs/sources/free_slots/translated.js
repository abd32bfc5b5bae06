function freeSlots(busy, opening, closing, minimum) {
  const ordered = [...busy].sort(([a], [b]) => a - b);
  const free = [];
  let cursor = opening;
  for (const [start, end] of [...ordered, [closing, closing]]) {
    if (start - cursor >= minimum) {
      free.push([cursor, start]);
    }
    cursor = Math.max(cursor, end);
  }
  return free;
}
