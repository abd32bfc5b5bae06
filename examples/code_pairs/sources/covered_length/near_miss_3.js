function busyTime(spans) {
  const points = [...new Set(spans.flat())].sort((a, b) => a - b);
  let total = 0;
  for (let i = 0; i + 1 < points.length; i++) {
    const [low, high] = [points[i], points[i + 1]];
    if (spans.every(([start, end]) => start <= low && high <= end)) {
      total += high - low;
    }
  }
  return total;
}
