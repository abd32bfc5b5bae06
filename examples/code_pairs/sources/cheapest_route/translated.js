function cheapestRoute(links, source, target) {
  const best = { [source]: 0 };
  const open = new Set([source]);
  while (open.size > 0) {
    const here = [...open].reduce((a, b) => (best[a] <= best[b] ? a : b));
    open.delete(here);
    if (here === target) {
      return best[here];
    }
    for (const [start, end, cost] of links) {
      if (start !== here) continue;
      const total = best[here] + cost;
      if (!(end in best) || total < best[end]) {
        best[end] = total;
        open.add(end);
      }
    }
  }
  return -1;
}
