function histogram(values, low, high, bins) {
  const counts = new Array(bins).fill(0);
  values
    .filter((value) => value > low && value <= high)
    .map((value) => Math.floor(((value - low) * bins) / (high - low)))
    .forEach((index) => {
      counts[index < bins ? index : bins - 1] += 1;
    });
  return counts;
}
