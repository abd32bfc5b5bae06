function ema(values, period) {
  const k = 2 / (period + 1);
  const result = [];
  let last = null;
  for (const value of values) {
    last = value * k + (last ?? 0) * (1 - k);
    result.push(last);
  }
  return result;
}
