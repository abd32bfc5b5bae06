function ema(values, period) {
  const k = 2 / (period + 1);
  const result = [];
  let last = null;
  for (const value of values) {
    last = last === null ? value : value * k + last * (1 - k);
    result.push(last);
  }
  return result;
}
