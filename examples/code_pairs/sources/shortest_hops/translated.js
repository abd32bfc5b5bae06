function shortestHops(graph, start, goal) {
  const distance = new Map([[start, 0]]);
  const queue = [start];
  for (let head = 0; head < queue.length; head++) {
    const node = queue[head];
    if (node === goal) {
      return distance.get(node);
    }
    for (const neighbour of graph[node] ?? []) {
      if (distance.has(neighbour)) continue;
      distance.set(neighbour, distance.get(node) + 1);
      queue.push(neighbour);
    }
  }
  return -1;
}
