function relativeStrength(closes, period) {
  let gains = 0;
  let losses = 0;
  const first = Math.max(1, closes.length - period);
  for (let i = first; i < closes.length; i++) {
    const change = closes[i] - closes[i - 1];
    gains += Math.max(change, 0);
    losses += Math.max(-change, 0);
  }
  const moved = gains + losses;
  return moved === 0 ? 50 : (100 * losses) / moved;
}
